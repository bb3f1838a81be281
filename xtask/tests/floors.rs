//! The shape of the workspace: each crate depends on lower floors only, the cores on no runtime, and no
//! file grows past what one sitting can read.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// The first floor that may use tokio.
const RUNTIME_FLOOR: u32 = 4;

/// Packages of the workspace that stand beside the building.
const TOOLS: [&str; 2] = ["bowline-benches", "xtask"];

/// Tests of any crate may use it: it exists for them.
const TEST_SUPPORT: &str = "bowline-sim";

/// Lines of a file before its tests.
const MAX_LINES: usize = 500;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
    metadata: Option<PackageMetadata>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    bowline: Option<Bowline>,
}

#[derive(Deserialize)]
struct Bowline {
    layer: u32,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[test]
fn every_crate_has_a_floor() {
    let metadata = metadata();
    let lost: Vec<&str> = members(&metadata).filter(|package| floor(package).is_none()).map(name).collect();
    assert!(lost.is_empty(), "no [package.metadata.bowline] layer in {lost:?}");
}

#[test]
fn crates_depend_on_lower_floors_only() {
    let metadata = metadata();
    let found = wrong_dependencies(members(&metadata));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_cores_do_not_reach_a_runtime() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), name(package))).collect();
    let edges: BTreeMap<&str, Vec<&str>> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| {
            let edges = node.deps.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            (node.id.as_str(), edges.map(|edge| edge.pkg.as_str()).collect())
        })
        .collect();
    let found: Vec<String> = members(&metadata)
        .filter(|package| floor(package).is_some_and(|floor| floor < RUNTIME_FLOOR))
        .filter_map(|package| path_to("tokio", &package.id, &edges, &names))
        .map(|path| path.join(" -> "))
        .collect();
    assert!(found.is_empty(), "below floor {RUNTIME_FLOOR}:\n{}", found.join("\n"));
}

#[test]
fn files_keep_to_500_lines_before_their_tests() {
    let root = root();
    let mut sources = Vec::new();
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        rust_files(&entry.unwrap().path().join("src"), &mut sources);
    }
    rust_files(&root.join("xtask/src"), &mut sources);
    assert!(sources.len() > 10, "the sources were not found");
    let mut found = Vec::new();
    for file in sources {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        let lines = lines_before_tests(&fs::read_to_string(&file).unwrap());
        let excused = LONG_FILES.iter().any(|(long, _)| *long == name);
        match (lines > MAX_LINES, excused) {
            (true, false) => found.push(format!("{name}: {lines} lines before its tests")),
            (false, true) => found.push(format!("{name} needs no excuse any more")),
            _ => {}
        }
    }
    assert!(found.is_empty(), "at most {MAX_LINES}:\n{}", found.join("\n"));
}

/// What a crate on a floor may name: in its code lower floors, in its tests its own floor too.
fn wrong_dependencies<'a>(packages: impl Iterator<Item = &'a Package>) -> Vec<String> {
    let packages: Vec<&Package> = packages.collect();
    let floors: BTreeMap<&str, u32> =
        packages.iter().filter_map(|package| Some((name(package), floor(package)?))).collect();
    let mut found = Vec::new();
    for package in packages {
        let Some(floor) = floor(package) else { continue };
        for dependency in &package.dependencies {
            let Some(other) = floors.get(dependency.name.as_str()) else {
                continue;
            };
            let allowed = match dependency.kind.as_deref() {
                Some("dev") => dependency.name == TEST_SUPPORT || *other <= floor,
                _ => *other < floor,
            };
            if !allowed {
                let kind = dependency.kind.as_deref().unwrap_or("normal");
                found.push(format!(
                    "{} (floor {floor}) has a {kind} dependency on {} (floor {other})",
                    package.name, dependency.name
                ));
            }
        }
    }
    found
}

/// The shortest way from a package to one of that name.
fn path_to<'a>(
    wanted: &str,
    from: &'a str,
    edges: &BTreeMap<&'a str, Vec<&'a str>>,
    names: &BTreeMap<&'a str, &'a str>,
) -> Option<Vec<&'a str>> {
    let mut came_from = BTreeMap::from([(from, None)]);
    let mut waiting = VecDeque::from([from]);
    while let Some(at) = waiting.pop_front() {
        if names[at] == wanted {
            let way = std::iter::successors(Some(at), |at| came_from[at]);
            let mut way: Vec<&str> = way.map(|id| names[id]).collect();
            way.reverse();
            return Some(way);
        }
        for next in edges.get(at).into_iter().flatten() {
            if !came_from.contains_key(next) {
                came_from.insert(next, Some(at));
                waiting.push_back(next);
            }
        }
    }
    None
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let generated = path.file_name().is_some_and(|name| name == "generated");
        if path.is_dir() && !generated {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn lines_before_tests(source: &str) -> usize {
    source.lines().take_while(|line| !line.trim_start().starts_with("mod tests")).count()
}

fn members(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.packages.iter().filter(|package| {
        metadata.workspace_members.contains(&package.id) && !TOOLS.contains(&package.name.as_str())
    })
}

fn name(package: &Package) -> &str {
    &package.name
}

fn floor(package: &Package) -> Option<u32> {
    Some(package.metadata.as_ref()?.bowline.as_ref()?.layer)
}

fn metadata() -> Metadata {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--all-features"])
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints its metadata")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

mod the_rule {
    use super::*;

    fn package(name: &str, layer: u32, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
            .collect();
        let metadata = Some(PackageMetadata { bowline: Some(Bowline { layer }) });
        Package { id: name.to_owned(), name: name.to_owned(), dependencies, metadata }
    }

    fn problems(dependencies: &[(&str, Option<&str>)]) -> usize {
        let packages = [
            package("bowline-wire", 0, &[]),
            package("bowline-noise", 2, &[]),
            package(TEST_SUPPORT, 3, &[]),
            package("bowline-connection", 3, &[]),
            package("bowline-yamux", 2, dependencies),
        ];
        wrong_dependencies(packages.iter()).len()
    }

    #[test]
    fn allows_lower_floors_and_foreign_crates() {
        assert_eq!(problems(&[("bowline-wire", None), ("bytes", None)]), 0);
    }

    #[test]
    fn refuses_the_same_floor_and_above() {
        assert_eq!(problems(&[("bowline-noise", None)]), 1);
        assert_eq!(problems(&[("bowline-connection", None)]), 1);
        assert_eq!(problems(&[("bowline-noise", Some("build"))]), 1);
    }

    #[test]
    fn lets_tests_use_the_simulator_and_their_own_floor() {
        assert_eq!(problems(&[("bowline-noise", Some("dev")), (TEST_SUPPORT, Some("dev"))]), 0);
        assert_eq!(problems(&[("bowline-connection", Some("dev"))]), 1);
        assert_eq!(problems(&[(TEST_SUPPORT, None)]), 1);
    }

    #[test]
    fn finds_the_way_to_a_runtime() {
        let edges = BTreeMap::from([("a", vec!["b", "c"]), ("b", vec![]), ("c", vec!["tokio"])]);
        let names = BTreeMap::from([("a", "a"), ("b", "b"), ("c", "c"), ("tokio", "tokio")]);
        assert_eq!(path_to("tokio", "a", &edges, &names), Some(vec!["a", "c", "tokio"]));
        assert_eq!(path_to("tokio", "b", &edges, &names), None);
    }

    #[test]
    fn counts_what_stands_before_the_tests() {
        assert_eq!(lines_before_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 3);
        assert_eq!(lines_before_tests("a\nb\n"), 2);
    }
}
