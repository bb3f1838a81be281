use std::fs;

use crate::support::bowline;

#[test]
fn a_key_goes_into_a_store_and_out_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (key, store, copy) =
        (folder.path().join("key"), folder.path().join("store"), folder.path().join("copy"));
    let made = bowline("key --json generate {}", &[&key]).succeeded().last();
    assert_eq!(bowline("key --json show {}", &[&key]).succeeded().last(), made);
    assert_eq!(bowline("key --json import --store {} {}", &[&store, &key]).succeeded().last(), made);
    assert_eq!(bowline("id --json --store {}", &[&store]).succeeded().last(), made);
    assert_eq!(bowline("key --json export --store {} {}", &[&store, &copy]).succeeded().last(), made);
    assert_eq!(fs::read(&key).unwrap(), fs::read(&copy).unwrap());
    assert_eq!(bowline("id --json --key {}", &[&copy]).succeeded().last(), made);
    assert!(made["peer_id"].as_str().unwrap().starts_with("12D3KooW"));
    assert!(made["cid"].as_str().unwrap().starts_with("bafz"));
    assert!(made["base36"].as_str().unwrap().starts_with("k51"));
}

/// The fixture is the private key of the libp2p specification, in the form in which Kubo exports keys.
#[test]
fn a_key_of_the_specification_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let bytes = "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
    let bytes: Vec<u8> =
        (0..bytes.len()).step_by(2).map(|at| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap()).collect();
    fs::write(&file, bytes).unwrap();
    let line = bowline("key --json show {}", &[&file]).succeeded().last();
    assert_eq!(line["key_type"], "Ed25519");
}

#[test]
fn keys_are_not_overwritten_and_other_files_are_no_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no key").unwrap();
    let error = bowline("key --json generate {}", &[&file]).failed_with(1);
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "no key");
    let error = bowline("key --json show {}", &[&file]).failed_with(5);
    assert!(error.contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn completions_and_the_man_page_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(bowline(&format!("completions {shell}"), &[]).succeeded().stdout.contains("serve"));
    }
    assert!(bowline("man", &[]).succeeded().stdout.contains(".TH bowline"));
    let folder = tempfile::tempdir().unwrap();
    bowline("man --dir {}", &[folder.path()]).succeeded();
    assert!(folder.path().join("bowline-get.1").exists());
}
