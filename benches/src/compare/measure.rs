//! One run: two fresh processes, a job between them, and what both used for it.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::compare::{
    machine::{self, Moment},
    network::{Network, Path},
    options::{Executable, Flavour},
    peer::Peer,
    rows::Job,
};

/// From its start to the moment when a peer listens, or has dialed.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Connections count as idle after this: long enough for buffers to be given back.
const UNTIL_IDLE: Duration = Duration::from_secs(3);

/// Who does what with whom.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) server: &'a Executable,
    pub(crate) client: &'a Executable,
    pub(crate) job: Job,
    /// Words beside those of the job.
    pub(crate) extra: &'static [&'static str],
    pub(crate) flavour: Flavour,
    pub(crate) path: Path,
    pub(crate) deadline: Duration,
}

/// What a run gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) result: JobResult,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    /// Resident memory that the server has more than before the job.
    pub(crate) server_growth_bytes: f64,
    /// What others used meanwhile, as a share of one core.
    pub(crate) foreign: f64,
    /// What the host took meanwhile, as a share of one core.
    pub(crate) stolen: f64,
    pub(crate) disturbed: bool,
}

/// What a client says about its job.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct JobResult {
    pub(crate) bytes: Option<f64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) count: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

impl Run<'_> {
    /// Starts both sides, runs the job and ends them.
    ///
    /// # Errors
    ///
    /// When either side fails at any point, its end included: then nothing of the run counts.
    pub(crate) async fn once(&self) -> Result<Sample> {
        let mut network = Network::set_up(self.path).await?;
        let mut server = Peer::start(self.label("server", self.server), &self.server_words(&network))?;
        let listening = server.event("listening", START_LIMIT).await?;
        let address = listening["address"].as_str().context("a listening server tells its address")?;
        let address = network.reach(address).await?;
        let mut client =
            Peer::start(self.label("client", self.client), &self.client_words(&network, &address))?;
        together(&mut server, client.event("ready", START_LIMIT)).await?;
        let sample = self.job(&mut server, &mut client).await?;
        client.finish().await?;
        server.finish().await?;
        Ok(sample)
    }

    async fn job(&self, server: &mut Peer, client: &mut Peer) -> Result<Sample> {
        // What stands for the network runs in this process: its work is not foreign.
        let processes = [client.process()?, server.process()?, std::process::id()];
        let resident = machine::resident_bytes(processes[1])?;
        let before = Moment::now(&processes)?;
        client.go().await?;
        let result = together(server, client.event("result", self.deadline)).await?;
        let passed = before.until(&Moment::now(&processes)?);
        if matches!(self.job, Job::Hold { .. }) {
            tokio::time::sleep(UNTIL_IDLE).await;
        }
        let growth = machine::resident_bytes(processes[1])? as f64 - resident as f64;
        Ok(Sample {
            result: self.checked(result)?,
            client_cpu_seconds: passed.cpu_seconds[0],
            server_cpu_seconds: passed.cpu_seconds[1],
            server_growth_bytes: growth,
            foreign: passed.foreign,
            stolen: passed.stolen,
            disturbed: passed.disturbed,
        })
    }

    /// A client that did less than it was told to is not measured.
    fn checked(&self, result: Value) -> Result<JobResult> {
        let shown = result.to_string();
        let result: JobResult = serde_json::from_value(result)
            .with_context(|| format!("{}: a result says {shown}", self.label("client", self.client)))?;
        let done = match self.job {
            Job::Transfer { .. } => result.bytes,
            _ => result.count,
        };
        ensure!(
            done == Some(self.job.amount() as f64),
            "{}: not what was asked for: {shown}",
            self.label("client", self.client)
        );
        Ok(result)
    }

    /// Names a side in errors.
    fn label(&self, side: &str, executable: &Executable) -> String {
        let job = self.job_words().join(" ");
        format!("{} ({side}, {}, {job})", executable.program.name(), self.flavour.name())
    }

    fn job_words(&self) -> Vec<String> {
        let extra = self.extra.iter().map(|word| (*word).to_owned());
        self.job.words().into_iter().chain(extra).collect()
    }

    fn server_words(&self, network: &Network) -> Vec<OsString> {
        let mut words = network.server_prefix();
        words.extend(self.pin("0"));
        words.push(self.server.path.clone());
        let listen = network.listen();
        let rest = ["bench-serve", "--listen", &listen, "--runtime", self.flavour.name()];
        words.extend(rest.map(OsString::from));
        words
    }

    fn client_words(&self, network: &Network, address: &str) -> Vec<OsString> {
        let mut words = network.client_prefix();
        words.extend(self.pin("1"));
        words.push(self.client.path.clone());
        let rest = ["bench-run", "--to", address, "--runtime", self.flavour.name()];
        words.extend(rest.map(OsString::from));
        words.extend(self.job_words().into_iter().map(OsString::from));
        words
    }

    fn pin(&self, core: &str) -> Vec<OsString> {
        match self.flavour {
            Flavour::Multi => Vec::new(),
            Flavour::OneThread => ["taskset", "-c", core].map(OsString::from).to_vec(),
        }
    }
}

/// What the client says, unless the server ends first.
async fn together(server: &mut Peer, client: impl Future<Output = Result<Value>>) -> Result<Value> {
    let said = tokio::select! {
        biased;
        said = client => said,
        error = server.untimely_end() => return Err(error),
    };
    said.map_err(|error| server.beside(&error))
}
