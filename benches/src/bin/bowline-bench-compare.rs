//! Measures Bowline beside the other stacks and beside what the machine allows. `cargo xtask bench compare` builds
//! all of them and starts this.

#[cfg(target_os = "linux")]
#[path = "../compare"]
mod compare {
    pub(crate) mod builds;
    pub(crate) mod goals;
    pub(crate) mod link;
    pub(crate) mod machine;
    pub(crate) mod matrix;
    pub(crate) mod measure;
    pub(crate) mod network;
    pub(crate) mod options;
    pub(crate) mod peer;
    pub(crate) mod plot;
    pub(crate) mod proxy;
    pub(crate) mod relay;
    pub(crate) mod report;
    pub(crate) mod rows;
    pub(crate) mod run;
    pub(crate) mod series;
    pub(crate) mod shaper;
    pub(crate) mod statistics;
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    compare::run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!("this reads /proc and makes network namespaces: it needs Linux")
}
