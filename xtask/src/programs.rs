//! Builds the programs that the other commands run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

/// A cold build of the largest of them takes a few minutes on two slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// What runs on Bowline's side.
pub(crate) struct BowlinePrograms {
    pub(crate) bowline: PathBuf,
    /// Does with the library what the program offers no command for.
    pub(crate) example: PathBuf,
}

/// The programs that were named, or else those of this work tree, built for release.
pub(crate) fn bowline(
    root: &Path,
    bowline: Option<PathBuf>,
    example: Option<PathBuf>,
) -> Result<BowlinePrograms> {
    if let (Some(bowline), Some(example)) = (&bowline, &example) {
        return Ok(BowlinePrograms { bowline: bowline.clone(), example: example.clone() });
    }
    // In one call, so that both agree on the features of what they share and nothing is built twice.
    let arguments = "build --release --package bowline-cli --package bowline --bin bowline --example interop";
    let mut build = cargo();
    build.current_dir(root).args(arguments.split(' '));
    process::run_visibly("building Bowline", &mut build, BUILD_LIMIT)?;
    let folder = target_folder(root)?.join("release");
    Ok(BowlinePrograms {
        bowline: bowline.unwrap_or_else(|| folder.join("bowline")),
        example: example.unwrap_or_else(|| folder.join("examples/interop")),
    })
}

/// The benchmark's runner, and Bowline's and the bare socket's side of it, into the workspace's target folder.
pub(crate) fn benches(root: &Path) -> Result<()> {
    let mut build = cargo();
    build.current_dir(root).args(["build", "--release", "--package", "bowline-benches", "--bins"]);
    process::run_visibly("building the benchmark", &mut build, BUILD_LIMIT)
}

/// A program of the rust-libp2p package in `interop/peers`, which is a workspace with a lock file of its own.
pub(crate) fn rust_libp2p(root: &Path, binary: &str) -> Result<PathBuf> {
    let folder = root.join("interop/peers/rust-libp2p");
    let mut build = cargo();
    build.current_dir(&folder).args(["build", "--release", "--locked"]).env_remove("CARGO_TARGET_DIR");
    process::run_visibly("building the rust-libp2p peer", &mut build, BUILD_LIMIT)?;
    Ok(folder.join("target/release").join(binary))
}

/// Kubo at the version that `interop/peers/kubo/go.mod` names, built once into a cache outside git.
pub(crate) fn kubo(root: &Path) -> Result<PathBuf> {
    let module = root.join("interop/peers/kubo");
    let version = required(&fs::read_to_string(module.join("go.mod"))?, "github.com/ipfs/kubo")?;
    let folder = root.join("interop/.cache").join(format!("kubo-{version}"));
    let program = folder.join("ipfs");
    if !program.exists() {
        fs::create_dir_all(&folder)?;
        // Under another name until it is whole, so that an interrupted build is not taken for the program.
        let unfinished = folder.join("ipfs.part");
        let mut build = Command::new("go");
        build.current_dir(&module).args(["build", "-mod=readonly", "-trimpath", "-o"]).arg(&unfinished);
        build.arg("github.com/ipfs/kubo/cmd/ipfs");
        process::run_visibly("building Kubo (about two minutes)", &mut build, BUILD_LIMIT)
            .context("hint: this needs Go; --ipfs PATH uses an installed Kubo instead")?;
        fs::rename(&unfinished, &program)?;
    }
    Ok(program)
}

/// The go-libp2p side of the benchmark, into a cache outside git. Go itself knows when nothing has changed.
pub(crate) fn go_libp2p(root: &Path) -> Result<PathBuf> {
    let module = root.join("interop/peers/go-libp2p");
    let version = required(&fs::read_to_string(module.join("go.mod"))?, "github.com/libp2p/go-libp2p")?;
    let folder = root.join("interop/.cache").join(format!("go-libp2p-{version}"));
    let program = folder.join("bowline-bench-go-libp2p");
    fs::create_dir_all(&folder)?;
    let mut build = Command::new("go");
    build.current_dir(&module).args(["build", "-mod=readonly", "-trimpath", "-o"]).arg(&program).arg(".");
    process::run_visibly("building the go-libp2p peer", &mut build, BUILD_LIMIT)?;
    Ok(program)
}

/// The version of a module that a go.mod requires.
fn required(go_mod: &str, module: &str) -> Result<String> {
    let version = |line: &str| {
        let rest = line.trim().trim_start_matches("require ").strip_prefix(module)?.strip_prefix(" v")?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    go_mod.lines().find_map(version).with_context(|| format!("go.mod requires {module}"))
}

/// Where this workspace builds to, also when the environment moves it.
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf> {
    let mut metadata = cargo();
    metadata.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = metadata.output().context("starting cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(metadata["target_directory"].as_str().context("cargo names its target folder")?.into())
}

/// A scratch folder beside the build, on a disk that has room for gigabytes.
pub(crate) fn scratch(root: &Path, name: &str) -> Result<tempfile::TempDir> {
    let parent = target_folder(root)?.join("xtask");
    fs::create_dir_all(&parent)?;
    Ok(tempfile::Builder::new().prefix(name).tempdir_in(parent)?)
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use super::required;

    const KUBO: &str = "github.com/ipfs/kubo";

    #[test]
    fn the_version_of_kubo_comes_from_its_go_mod() {
        let short = "module x\n\nrequire github.com/ipfs/kubo v0.43.0\n";
        assert_eq!(required(short, KUBO).unwrap(), "0.43.0");
        let long =
            "require (\n\tgithub.com/ipfs/boxo v0.42.1\n\tgithub.com/ipfs/kubo v0.43.0 // indirect\n)\n";
        assert_eq!(required(long, KUBO).unwrap(), "0.43.0");
        assert!(required("module x\n", KUBO).is_err());
    }

    #[test]
    fn a_module_whose_name_goes_on_is_another_one() {
        let listed = "require (\n\tgithub.com/ipfs/kubo-x v1.0.0\n\tgithub.com/ipfs/kubo v0.43.0\n)\n";
        assert_eq!(required(listed, KUBO).unwrap(), "0.43.0");
    }
}
