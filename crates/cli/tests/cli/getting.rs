use std::{fs, io::Read, path::Path, process::Stdio};

use bowline::{
    Repository,
    block::{VerifiedBlock, codec},
    blockstore::OpenOptions,
};

use crate::support::{add, bowline, command, content, run, serve};

#[test]
fn a_file_comes_over_loopback_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file, out) =
        (folder.path().join("store"), folder.path().join("file"), folder.path().join("new/out"));
    fs::create_dir(folder.path().join("new")).unwrap();
    fs::write(&file, content(3)).unwrap();
    let cid = add(&store, &file);
    let server = serve(&store);
    let line =
        bowline(&format!("get --json {cid} --from {} -o {{}}", server.addr), &[&out]).succeeded().last();
    assert_eq!(fs::read(&out).unwrap(), content(3));
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    assert_eq!((line["cid"].as_str(), line["bytes"].as_u64()), (Some(cid.as_str()), Some(3 << 20)));
    assert_eq!(line["blocks"], 13);
    assert_eq!((line["duplicate_blocks"].as_u64(), line["duplicate_bytes"].as_u64()), (Some(0), Some(0)));
    assert!(line["seconds"].as_f64().unwrap() > 0.0);
    assert!(server.addr.ends_with(line["peers"][0].as_str().unwrap()));
}

#[test]
fn a_directory_is_listed_shown_and_got() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tree, out) =
        (folder.path().join("store"), folder.path().join("tree"), folder.path().join("out"));
    fs::create_dir_all(tree.join("below")).unwrap();
    fs::write(tree.join("a file"), "one").unwrap();
    fs::write(tree.join("below/two"), "two").unwrap();
    let cid = add(&store, &tree);
    let server = serve(&store);

    let entries = bowline(&format!("ls --json {cid} --from {}", server.addr), &[]).succeeded().objects();
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a file", "below"]);
    let text = bowline(&format!("ls {cid} --from {}", server.addr), &[]).succeeded().stdout;
    assert!(text.lines().next().unwrap().ends_with(" a file"), "{text}");

    let file = entries[0]["cid"].as_str().unwrap();
    assert_eq!(bowline(&format!("cat {file} --from {}", server.addr), &[]).succeeded().stdout, "one");

    bowline(&format!("get {cid} --from {} -o {{}}", server.addr), &[&out]).succeeded();
    assert_eq!(fs::read_to_string(out.join("below/two")).unwrap(), "two");
    let error = bowline(&format!("get --json {cid} --from {} -o {{}}", server.addr), &[&out]).failed_with(1);
    assert!(error.contains("exists already"), "{error}");
}

#[test]
fn a_store_is_read_without_peers() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("file"));
    fs::write(&file, "kept").unwrap();
    let cid = add(&store, &file);
    assert_eq!(bowline(&format!("cat {cid} --store {{}}"), &[&store]).succeeded().stdout, "kept");
}

/// Takes a leaf of a file of eight mebibytes out of a store, and gives its CID.
fn take_leaf(store: &Path, number: usize) -> String {
    let repository = Repository::open(store, OpenOptions::default()).unwrap();
    let leaf = content(8)[number * LEAF..][..LEAF].to_vec();
    let block = VerifiedBlock::sha2_256(codec::RAW, leaf.into()).unwrap();
    assert!(repository.blocks().delete(block.hash()).unwrap());
    block.cid().to_string()
}

const LEAF: usize = 256 * 1024;

#[test]
fn a_block_that_is_missing_half_way_is_named_and_the_next_get_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, file, out] = ["first", "second", "file", "out"].map(|name| folder.path().join(name));
    fs::write(&file, content(8)).unwrap();
    let cid = add(&first, &file);
    add(&second, &file);
    let last = take_leaf(&first, 31);
    let server = serve(&first);
    let error = bowline(&format!("get --json {cid} --from {} -o {{}}", server.addr), &[&out]).failed_with(3);
    assert!(error.contains(&last), "{error}");
    assert!(!out.exists());
    drop(server);

    // The second server lacks what the first one gave.
    take_leaf(&second, 0);
    let server = serve(&second);
    bowline(&format!("get --json {cid} --from {} -o {{}}", server.addr), &[&out]).succeeded();
    assert_eq!(fs::read(&out).unwrap(), content(8));
    assert_eq!(hidden(folder.path()), [""; 0]);
}

/// The names in a folder that begin with a dot.
fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn what_came_of_one_thing_outlives_a_get_of_another_under_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, file, other, out] =
        ["first", "second", "file", "other", "out"].map(|name| folder.path().join(name));
    fs::write(&file, content(8)).unwrap();
    fs::write(&other, "other").unwrap();
    let cid = add(&first, &file);
    let other_cid = add(&first, &other);
    add(&second, &file);
    take_leaf(&first, 31);
    let server = serve(&first);
    bowline(&format!("get --json {cid} --from {} -o {{}}", server.addr), &[&out]).failed_with(3);
    bowline(&format!("get {other_cid} --from {} -o {{}}", server.addr), &[&out]).succeeded();
    assert_eq!(hidden(folder.path()).len(), 1);
    drop(server);

    // The second server lacks what the first one gave.
    take_leaf(&second, 0);
    let server = serve(&second);
    bowline(&format!("get {cid} --from {} -o {{}}", server.addr), &[&out]).succeeded();
    assert_eq!(hidden(folder.path()), [""; 0]);
}

#[test]
fn a_name_as_long_as_names_can_be_is_got() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("file"));
    fs::write(&file, "x").unwrap();
    let cid = add(&store, &file);
    let server = serve(&store);
    for name in ["n".repeat(255), format!("n{}", "ü".repeat(127))] {
        let out = folder.path().join(name);
        bowline(&format!("get {cid} --from {} -o {{}}", server.addr), &[&out]).succeeded();
        assert_eq!(fs::read_to_string(&out).unwrap(), "x");
        assert_eq!(hidden(folder.path()), [""; 0]);
    }
}

#[test]
fn a_damaged_block_is_mended_by_getting_it_into_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let [good, bad, file, out] = ["good", "bad", "file", "out"].map(|name| folder.path().join(name));
    fs::write(&file, "kept").unwrap();
    let cid = add(&good, &file);
    add(&bad, &file);
    crate::support::damage(&bad);
    let error = bowline(&format!("cat --json {cid} --store {{}}"), &[&bad]).failed_with(5);
    assert!(error.contains(&cid) && error.contains("damaged"), "{error}");
    let server = serve(&good);
    bowline(&format!("get {cid} --store {{}} --from {} -o {{}}", server.addr), &[&bad, &out]).succeeded();
    assert_eq!(bowline(&format!("cat {cid} --store {{}}"), &[&bad]).succeeded().stdout, "kept");
}

#[test]
fn a_root_of_another_kind_is_answered_with_the_command_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tree) = (folder.path().join("store"), folder.path().join("tree"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), content(1)).unwrap();
    let directory = add(&store, &tree);
    let file = add(&store, &tree.join("file"));
    for (arguments, cid, expected) in [
        (format!("cat --json {directory} --store {{}}"), &directory, "is a directory, not a file"),
        (format!("ls --json {file} --store {{}}"), &file, "is a file, not a directory"),
    ] {
        let run = bowline(&arguments, &[&store]);
        let hint = run.last()["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("`bowline ls` lists a directory"), "{hint}");
        let error = run.failed_with(1);
        assert!(error.contains(&format!("{cid} {expected}")), "{error}");
    }
}

#[test]
fn a_peer_that_lacks_it_does_not_matter_when_another_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
    let (file, out) = (folder.path().join("file"), folder.path().join("out"));
    fs::write(&file, content(1)).unwrap();
    let cid = add(&full, &file);
    let (full, empty) = (serve(&full), serve(&empty));
    let from = format!("--from {} --from {} --from /ip4/127.0.0.1/tcp/1", empty.addr, full.addr);
    bowline(&format!("get {cid} {from} -o {{}}"), &[&out]).succeeded();
    assert_eq!(fs::read(&out).unwrap(), content(1));
}

#[test]
fn whoever_stops_reading_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("file"));
    fs::write(&file, content(8)).unwrap();
    let cid = add(&store, &file);
    let mut cat = command();
    cat.args(["cat", &cid, "--store"]).arg(&store).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cat = cat.spawn().unwrap();
    let mut stdout = cat.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let ended = cat.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_demo_verifies_what_it_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = command();
    demo.args(["demo", "--json", "--mib", "4", "--dir"]).arg(folder.path());
    let line = run(&mut demo).succeeded().last();
    assert_eq!((line["bytes"].as_u64(), line["verified"].as_bool()), (Some(4 << 20), Some(true)));
    assert!(line["seconds"].as_f64().unwrap() > 0.0 && line["mib_per_s"].as_f64().unwrap() > 0.0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
