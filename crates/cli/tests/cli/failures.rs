use std::{fs, net::TcpListener, path::Path, time::Instant};

use rustix::process::Signal;

use crate::support::{Background, add, bowline, command, content, run, serve};

const NOBODY_HAS: &str = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
const SOMEBODY: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

/// Tries to get something from an address, and gives the code and the error.
fn get(cid: &str, from: &str, out: &Path, code: i32) -> String {
    let error =
        bowline(&format!("get --json {cid} --from {from} --timeout 2s -o {{}}"), &[out]).failed_with(code);
    assert!(!out.exists());
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 0, "something is left");
    error
}

#[test]
fn another_peer_at_the_address_is_an_error_with_both_ids() {
    let (folder, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = serve(&folder.path().join("store"));
    let (place, actual) = server.addr.rsplit_once('/').unwrap();
    let error = get(NOBODY_HAS, &format!("{place}/{SOMEBODY}"), &empty.path().join("out"), 4);
    assert!(error.contains(actual) && error.contains(SOMEBODY), "{error}");
    for command in ["ping", "identify", "perf"] {
        let error = bowline(&format!("{command} --json {place}/{SOMEBODY}"), &[]).failed_with(4);
        assert!(error.contains(actual) && error.contains(SOMEBODY), "{error}");
    }
}

#[test]
fn each_address_that_failed_is_named_with_its_cause() {
    let empty = tempfile::tempdir().unwrap();
    // Nobody has listened at a port that was free a moment ago; the other takes links and says nothing.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let from = format!("/ip4/127.0.0.1/tcp/{free} --from /ip4/127.0.0.1/tcp/{silent_port}");
    let error = get(NOBODY_HAS, &from, &empty.path().join("out"), 4);
    assert!(error.contains(&format!("/tcp/{free}: connection refused")), "{error}");
    assert!(error.contains(&format!("/tcp/{silent_port}: ")), "{error}");
    assert!(error.contains(NOBODY_HAS), "{error}");

    // As it was given, with the id at its end.
    let given = format!("/ip4/127.0.0.1/tcp/{free}/p2p/{SOMEBODY}");
    let error = get(NOBODY_HAS, &given, &empty.path().join("out"), 4);
    assert!(error.contains(&format!("{given}: connection refused")), "{error}");
}

#[test]
fn a_cid_that_nobody_has_is_named_within_the_timeout() {
    let (folder, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = serve(&folder.path().join("store"));
    let out = empty.path().join("out");
    let error = get(NOBODY_HAS, &server.addr, &out, 3);
    assert!(error.contains(NOBODY_HAS), "{error}");
    let error = bowline(&format!("cat --json {NOBODY_HAS} --from {}", server.addr), &[]).failed_with(3);
    assert!(error.contains(NOBODY_HAS), "{error}");
}

#[test]
fn when_every_peer_has_gone_it_is_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let hang_up = std::thread::scope(|scope| {
        let links = scope.spawn(|| drop(silent.accept().unwrap()));
        let out = folder.path().join("out");
        let begun = now();
        let arguments = format!("get --json {NOBODY_HAS} --from /ip4/127.0.0.1/tcp/{port} -o {{}}");
        let error = bowline(&arguments, &[&out]).failed_with(4);
        links.join().unwrap();
        assert!(error.contains(&port.to_string()), "{error}");
        begun.elapsed()
    });
    assert!(hang_up.as_secs() < 20, "{hang_up:?}");
}

#[expect(clippy::disallowed_methods, reason = "a process is measured from outside")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn what_is_malformed_is_shown_with_its_place() {
    let from = "--from /ip4/127.0.0.1/tcp/1 -o out";
    for (arguments, expected) in [
        (format!("get --json bafkreIfz {from}"), "character 7 is 'I'"),
        (format!("get --json Qm0 {from}"), "character 3 is '0'"),
        (format!("get --json {NOBODY_HAS}/a/b {from}"), "\"a/b\" stands behind the CID"),
        (
            format!("cat --json {NOBODY_HAS} --from /ip4/127.0.0.1/tpc/1"),
            "\"/tpc/1\" does not fit behind \"/ip4/127.0.0.1\"",
        ),
        ("ping --json 127.0.0.1:4001".to_owned(), "\"127.0.0.1:4001\" is no address"),
        ("ping --json /ip4/1.2.3/tcp/1".to_owned(), "\"/ip4/1.2.3\" is wrong"),
        ("ping --json /tpc/1".to_owned(), "\"/tpc/1\" is wrong"),
        ("ping --json /ip4/1.2.3.4".to_owned(), "names no transport"),
        (format!("get --json {NOBODY_HAS} --from /p2p/{SOMEBODY} -o out"), "names no transport"),
        (format!("get --json {NOBODY_HAS} --from {{}} -o out"), "it is empty"),
        (format!("get --json {NOBODY_HAS} --from /ip4/127.0.0.1/tcp/1 -o new/"), "does not end in a name"),
        (format!("get --json {NOBODY_HAS} --from /ip4/127.0.0.1/tcp/1 -o new/."), "does not end in a name"),
        ("ping --json /ip4/127.0.0.1/tcp/1 --interval 5".to_owned(), "--interval"),
        (format!("get --json {NOBODY_HAS} -o out"), "required"),
        ("add --json --profile v9 x".to_owned(), "v9"),
    ] {
        let error = bowline(&arguments, &[Path::new("")]).failed_with(2);
        assert!(error.contains(expected), "{arguments}: {error}");
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (store, absent) = (folder.path().join("store"), folder.path().join("absent"));
    let error = bowline("add --json --store {} {}", &[&store, &absent]).failed_with(1);
    assert!(error.contains(absent.to_str().unwrap()), "{error}");
}

#[test]
fn a_store_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("file"));
    fs::write(&file, "x").unwrap();
    let server = serve(&store);
    let error = bowline("add --json --store {} {}", &[&store, &file]).failed_with(5);
    assert!(error.contains(store.to_str().unwrap()) && error.contains("in use"), "{error}");
    // The id can be read beside a running server.
    let line = bowline("id --json --store {}", &[&store]).succeeded().last();
    assert!(server.addr.ends_with(line["peer_id"].as_str().unwrap()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = bowline("add --json --store {} {}", &[Path::new("/sys/bowline"), &file]).failed_with(5);
    assert!(error.contains("/sys/bowline"), "{error}");
}

#[test]
fn a_folder_with_other_things_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = bowline("add --json --store {} {}", &[folder.path(), &file]).failed_with(5);
    assert!(error.contains("is not a repository"), "{error}");
}

/// A limit on the size of files stands for a disk that is full.
#[test]
fn a_full_disk_is_said_and_the_store_is_whole_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, small, large) =
        (folder.path().join("store"), folder.path().join("small"), folder.path().join("large"));
    fs::write(&small, "small").unwrap();
    fs::write(&large, content(24)).unwrap();
    let cid = add(&store, &small);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_bowline")]);
    limited.args(["add", "--json", "--store"]).arg(&store).arg(&large);
    let error = run(&mut limited).failed_with(5);
    assert!(error.contains("no room"), "{error}");
    assert_eq!(bowline(&format!("cat {cid} --store {{}}"), &[&store]).succeeded().stdout, "small");
    add(&store, &large);
}

#[test]
fn an_interrupted_get_ends_with_130_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, out) = (silent.local_addr().unwrap().port(), folder.path().join("out"));
    let get = Background::start(
        &format!("get --json {NOBODY_HAS} --from /ip4/127.0.0.1/tcp/{port} -o {{}}"),
        &[&out],
    );
    let _link = silent.accept().unwrap();
    let (code, rest) = get.stop_by(Signal::INT);
    assert_eq!(code, Some(130));
    assert!(rest.contains("interrupted"), "{rest}");
    assert!(!out.exists());
}

#[test]
fn help_is_no_failure_and_documents_the_exit_codes() {
    let run = bowline("--help", &[]).succeeded();
    assert!(run.stdout.contains("Exit codes") && run.stdout.contains("130"));
    assert_eq!(run.stderr, "");
    let run = bowline("cat --help", &[]).succeeded();
    assert!(run.stdout.contains("With --json stdout is the content all the same"), "{}", run.stdout);
    let run = bowline("get --help", &[]).succeeded();
    assert!(run.stdout.contains("No slash at its end"), "{}", run.stdout);
    let run = crate::support::run(&mut command());
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
}
