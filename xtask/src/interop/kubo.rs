//! `cargo xtask interop kubo`: equal CIDs, and files both ways over connections dialed by either side.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::PossibleValuesParser;

use crate::{
    interop::{
        bowline::{Bowline, Profile, STOP, Serving},
        data::{self, CASES, Case},
        kubo_node::{self, KuboNode},
        matrix::{self, Matrix, progress},
    },
    process::{self, Daemon},
    programs,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Use this Kubo instead of building the one that interop/peers/kubo/go.mod names.
    #[arg(long, value_name = "PATH")]
    ipfs: Option<PathBuf>,
    /// Use this Bowline instead of building the one of this work tree.
    #[arg(long, value_name = "PATH")]
    bowline: Option<PathBuf>,
    /// Use this build of the example `interop` instead of building the one of this work tree.
    #[arg(long, value_name = "PATH")]
    example: Option<PathBuf>,
    /// Only this case; may be given more than once.
    #[arg(long, value_name = "CASE", value_parser = PossibleValuesParser::new(CASES.map(|case| case.name)))]
    only: Vec<String>,
    /// Print one JSON object for each check instead of a table.
    #[arg(long)]
    json: bool,
    /// Leave the data, the repositories and the logs on disk.
    #[arg(long)]
    keep: bool,
}

const PROFILES: [Profile; 3] = [Profile::V0, Profile::V1, Profile::V1_2025];

/// Time for connections and small answers on a loaded machine; large files get more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Slower than this over loopback is a stall.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024 * 1024;

pub(crate) fn run(root: &Path, options: Options) -> Result<()> {
    process::catch_interrupts()?;
    let ipfs = options.ipfs.map_or_else(|| programs::kubo(root), Ok)?;
    let ours = programs::bowline(root, options.bowline, options.example)?;
    progress(&format!("Kubo {} at {}", kubo_node::version(&ipfs)?, ipfs.display()));

    let scratch = programs::scratch(root, "kubo-")?;
    let cases: Vec<Case> = CASES
        .into_iter()
        .filter(|case| options.only.is_empty() || options.only.iter().any(|name| name == case.name))
        .collect();
    let logs = matrix::logs(scratch.path())?;
    let start = |label| {
        let node = KuboNode::start(&ipfs, label, scratch.path());
        matrix::or_show_logs(node, &logs)
    };
    let mut run = Run {
        seeder: start("kubo-seeder")?,
        fetcher: start("kubo-fetcher")?,
        bowline: Bowline::new(ours.bowline),
        example: ours.example,
        scratch: scratch.path().to_path_buf(),
        logs: logs.clone(),
        cases,
        data: BTreeMap::new(),
        cids: BTreeMap::new(),
        matrix: Matrix::new("case"),
    };
    run.everything();
    let result = run.matrix.finish(options.json, &run.logs);
    drop(run);
    if options.keep {
        progress(&format!("kept {}", scratch.keep().display()));
    }
    result
}

struct Run {
    /// Holds everything that Bowline fetches.
    seeder: KuboNode,
    /// Holds nothing, and fetches from Bowline.
    fetcher: KuboNode,
    bowline: Bowline,
    example: PathBuf,
    scratch: PathBuf,
    logs: PathBuf,
    cases: Vec<Case>,
    data: BTreeMap<&'static str, PathBuf>,
    cids: BTreeMap<(&'static str, Profile), String>,
    matrix: Matrix,
}

type Stage = fn(&mut Run) -> Result<()>;

impl Run {
    /// A stage that cannot go on is a failure of its own; the others still run.
    fn everything(&mut self) {
        let stages: [(&str, Stage); 5] = [
            ("adding", Self::add_everything),
            ("Bowline dials and gets", Self::bowline_dials_and_gets),
            ("Kubo dials and gets", Self::kubo_dials_and_gets),
            ("Bowline dials, Kubo gets", Self::bowline_dials_kubo_gets),
            ("Kubo dials, Bowline gets", Self::kubo_dials_bowline_gets),
        ];
        for (name, stage) in stages {
            if let Err(error) = stage(self) {
                self.matrix.record::<()>("all", name, Err(error));
            }
        }
    }

    fn add_everything(&mut self) -> Result<()> {
        for case in self.cases.clone() {
            let path = case.create(&self.scratch)?;
            for profile in PROFILES {
                let added = self.add(case, &path, profile);
                if let Ok(cid) = &added {
                    self.cids.insert((case.name, profile), cid.clone());
                }
                let column = format!("CID {}", profile.name());
                self.matrix.record(case.name, &column, added.map(|_| ()));
            }
            self.data.insert(case.name, path);
        }
        Ok(())
    }

    /// Adds on both sides and gives the CID on which they agree.
    fn add(&self, case: Case, path: &Path, profile: Profile) -> Result<String> {
        let limit = limit(case);
        let theirs = self.seeder.add(path, profile, limit)?;
        let ours = self.bowline.add(&self.store(), path, profile, limit)?;
        if ours != theirs {
            bail!("Bowline says {ours}, Kubo says {theirs}");
        }
        Ok(ours)
    }

    fn bowline_dials_and_gets(&mut self) -> Result<()> {
        for (case, profile) in self.transfers(&PROFILES) {
            let result = self.bowline_gets(case, profile);
            let column = format!("Bowline dials, gets {}", profile.name());
            self.matrix.record(case.name, &column, result);
        }
        Ok(())
    }

    fn bowline_gets(&self, case: Case, profile: Profile) -> Result<Duration> {
        let cid = self.cid(case, profile)?;
        let (out, store) = (self.scratch.join("out"), self.scratch.join("fresh-store"));
        let got = self.bowline.get(cid, self.seeder.address(), &out, &store, limit(case));
        let result = got.and_then(|got| self.compare(case, &out).map(|()| got.took));
        remove(&out)?;
        remove(&store)?;
        result
    }

    fn kubo_dials_and_gets(&mut self) -> Result<()> {
        let serving = self.bowline.serve("bowline-serve", &self.store(), &self.logs)?;
        for (case, profile) in self.transfers(&PROFILES) {
            let result = self.kubo_dials_for_one(case, profile, &serving.address);
            let column = format!("Kubo dials, gets {}", profile.name());
            self.matrix.record(case.name, &column, result);
        }
        self.matrix.record("all", "stops", serving.stop());
        Ok(())
    }

    fn kubo_dials_for_one(&self, case: Case, profile: Profile, address: &str) -> Result<Duration> {
        self.fetcher.connect(address)?;
        let result = self.kubo_gets(case, profile);
        // A new connection for each transfer.
        self.fetcher.disconnect(address)?;
        result
    }

    /// Kubo fetches over whatever connection there is.
    fn kubo_gets(&self, case: Case, profile: Profile) -> Result<Duration> {
        let cid = self.cid(case, profile)?;
        self.fetcher.forget_everything()?;
        if self.fetcher.holds(cid)? {
            bail!("the fetching Kubo has it already: this would prove nothing");
        }
        let out = self.scratch.join("out");
        let got = self.fetcher.get(cid, &out, limit(case));
        let result = got.and_then(|got| self.compare(case, &out).map(|()| got.took));
        remove(&out)?;
        result
    }

    fn bowline_dials_kubo_gets(&mut self) -> Result<()> {
        let mut serve = Command::new(&self.example);
        serve.arg("serve-dialed").arg("--store").arg(self.store()).arg(self.fetcher.address());
        let mut helper = Daemon::start("bowline-dialer", &mut serve, &self.logs)?;
        helper.wait_for_line("a connection", PATIENCE, |line| line["event"] == "connected")?;
        let directions = self.fetcher.connection_directions()?;
        if directions != ["inbound"] {
            bail!("expected one connection, dialed by Bowline, and not {directions:?}");
        }
        for (case, profile) in self.transfers(&[Profile::V1]) {
            let result = self.kubo_gets(case, profile);
            self.matrix.record(case.name, "Bowline dials, Kubo gets", result);
        }
        helper.stop(STOP)
    }

    fn kubo_dials_bowline_gets(&mut self) -> Result<()> {
        for (case, profile) in self.transfers(&[Profile::V1]) {
            let result = self.kubo_dials_bowline_gets_one(case, profile);
            self.matrix.record(case.name, "Kubo dials, Bowline gets", result);
        }
        Ok(())
    }

    fn kubo_dials_bowline_gets_one(&self, case: Case, profile: Profile) -> Result<()> {
        let cid = self.cid(case, profile)?;
        let (out, store) = (self.scratch.join("out"), self.scratch.join("fresh-store"));
        let mut get = Command::new(&self.example);
        get.arg("get-from-dialer").arg("--store").arg(&store).arg("--out").arg(&out).arg(cid);
        let mut helper = Serving::start("bowline-listener", &mut get, &self.logs)?;
        self.seeder.connect(&helper.address)?;
        let line = helper.daemon.wait_for_line("its result", limit(case), |line| {
            line["cid"].is_string() || line["error"].is_string()
        })?;
        let result = match line["error"].as_str() {
            Some(error) => Err(anyhow!("{error}")),
            None => self.compare(case, &out),
        };
        drop(helper);
        remove(&out)?;
        remove(&store)?;
        result
    }

    fn compare(&self, case: Case, out: &Path) -> Result<()> {
        data::same(self.data.get(case.name).context("the data was made")?, out)
    }

    /// The agreed CID. Where there is none, the difference has already been reported.
    fn cid(&self, case: Case, profile: Profile) -> Result<&str> {
        Ok(self.cids.get(&(case.name, profile)).context("the two sides agree on no CID")?)
    }

    fn transfers(&self, profiles: &[Profile]) -> Vec<(Case, Profile)> {
        self.cases.iter().flat_map(|case| profiles.iter().map(|profile| (*case, *profile))).collect()
    }

    /// The store that Bowline adds to and serves from.
    fn store(&self) -> PathBuf {
        self.scratch.join("bowline-store")
    }
}

fn limit(case: Case) -> Duration {
    PATIENCE + Duration::from_secs(case.bytes() / SLOWEST_BYTES_PER_SECOND)
}

/// Removes a file or folder that may not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).context("removing a scratch folder"),
        Ok(_) => fs::remove_file(path).context("removing a scratch file"),
        Err(error) => Err(error).context("looking at a scratch file"),
    }
}
