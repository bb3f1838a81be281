use std::fs;

use crate::support::{add, bowline, damage};

/// What `ipfs add` of Kubo prints for the same content and the flags that the profile stands for.
#[test]
fn a_file_gets_the_cid_that_kubo_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("hello.txt"));
    fs::write(&file, "hello world\n").unwrap();
    for (profile, cid) in [
        ("v0", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"),
        ("v1", "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"),
        ("v1-2025", "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"),
    ] {
        let run = bowline(&format!("add --json --profile {profile} --store {{}} {{}}"), &[&store, &file])
            .succeeded();
        assert_eq!(run.objects(), [serde_json::json!({"cid": cid, "name": "hello.txt", "bytes": 12})]);
    }
    let run = bowline("add --store {} {}", &[&store, &file]).succeeded();
    assert_eq!(run.stdout, "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4 hello.txt\n");
}

#[test]
fn a_file_of_several_blocks_gets_the_cid_that_kubo_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("zeros"));
    fs::write(&file, vec![0; 1024 * 1024]).unwrap();
    let line = bowline("add --json --store {} {}", &[&store, &file]).succeeded().last();
    assert_eq!(line["cid"], "bafybeiggzq4ryi7hscq5hzvzcnk4urnxt3asp37dhgvnjilf7exskximla");
    assert_eq!(line["bytes"], 1024 * 1024);
}

#[test]
fn each_argument_gets_one_line_and_a_directory_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tree, file) =
        (folder.path().join("store"), folder.path().join("tree"), folder.path().join("file"));
    fs::create_dir_all(tree.join("below")).unwrap();
    fs::write(tree.join("one"), "one").unwrap();
    fs::write(tree.join("below/two"), "two").unwrap();
    fs::write(&file, "file").unwrap();
    let lines = bowline("add --json --store {} {} {}", &[&store, &tree, &file]).succeeded().objects();
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tree", "file"]);
    assert_eq!(lines[0]["bytes"], 6);
}

#[test]
fn a_store_is_made_in_the_users_data_folder() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "kept").unwrap();
    let mut add = crate::support::command();
    add.env("HOME", home.path()).env_remove("XDG_DATA_HOME").arg("add").arg(&file);
    crate::support::run(&mut add).succeeded();
    if cfg!(target_os = "linux") {
        assert!(home.path().join(".local/share/bowline/store/version").exists());
    }
}

#[test]
fn what_add_prints_can_be_read_also_when_the_store_had_it_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("file"));
    fs::write(&file, "kept").unwrap();
    let cid = add(&store, &file);
    damage(&store);
    assert_eq!(add(&store, &file), cid);
    assert_eq!(bowline(&format!("cat {cid} --store {{}}"), &[&store]).succeeded().stdout, "kept");
}
