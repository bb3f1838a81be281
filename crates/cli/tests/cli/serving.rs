use std::fs;

use rustix::process::Signal;

use crate::support::{Background, add, bowline, serve};

#[test]
fn paths_are_added_before_it_listens_and_sigterm_stops_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = (folder.path().join("store"), folder.path().join("file"));
        fs::write(&file, "served").unwrap();
        let arguments =
            "serve --json --store {} --listen /ip4/127.0.0.1/tcp/0 --listen /ip4/127.0.0.1/tcp/0 {}";
        let mut server = Background::start(arguments, &[&store, &file]);
        let added = server.object();
        assert_eq!((added["event"].as_str(), added["bytes"].as_u64()), (Some("added"), Some(6)));
        let addrs = [server.object(), server.object()].map(|line| {
            assert_eq!(line["event"], "listening");
            line["addr"].as_str().unwrap().to_owned()
        });
        assert!(addrs[0] != addrs[1] && addrs.iter().all(|addr| addr.starts_with("/ip4/127.0.0.1/tcp/")));
        assert!(addrs.iter().all(|addr| addr.contains("/p2p/12D3KooW")));
        let (code, rest) = server.stop_by(signal);
        assert_eq!(code, Some(0));
        assert!(rest.contains("\"event\":\"stopped\""), "{rest}");
        // The store is free and whole.
        let cid = added["cid"].as_str().unwrap();
        assert_eq!(bowline(&format!("cat {cid} --store {{}}"), &[&store]).succeeded().stdout, "served");
    }
}

#[test]
fn a_server_keeps_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let first = serve(&store).addr;
    let second = serve(&store).addr;
    assert_eq!(first.rsplit('/').next(), second.rsplit('/').next());
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let arguments = format!("serve --json --store {{}} --listen /ip4/127.0.0.1/tcp/{port}");
    let error = bowline(&arguments, &[&folder.path().join("store")]).failed_with(1);
    assert!(error.contains(&port.to_string()) && error.contains("in use"), "{error}");
}

#[test]
fn a_peer_is_pinged_identified_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("store"), folder.path().join("file"));
    fs::write(&file, "served").unwrap();
    add(&store, &file);
    let server = serve(&store);
    let peer = server.addr.rsplit('/').next().unwrap();

    let lines =
        bowline(&format!("ping --json {} --count 3 --interval 10ms", server.addr), &[]).succeeded().objects();
    assert_eq!(lines.len(), 4);
    assert!(lines[..3].iter().all(|line| line["rtt_us"].as_u64().unwrap() > 0));
    assert!(lines[3]["p50_us"].as_u64().unwrap() > 0);

    let line = bowline(&format!("identify --json {}", server.addr), &[]).succeeded().last();
    assert_eq!(line["peer_id"], peer);
    assert!(line["agent"].as_str().unwrap().starts_with("bowline/"));
    let protocols: Vec<_> =
        line["protocols"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    assert!(
        protocols.contains(&"/ipfs/ping/1.0.0") && protocols.contains(&"/ipfs/bitswap/1.2.0"),
        "{protocols:?}"
    );

    // Whoever answers is taken where the address ends in nobody's id.
    let place = server.addr.split("/p2p/").next().unwrap();
    let line = bowline(&format!("perf --json --mib 2 {place}"), &[]).succeeded().last();
    assert!(line["upload_mib_s"].as_f64().unwrap() > 0.0 && line["download_mib_s"].as_f64().unwrap() > 0.0);
    assert_eq!(server.background.stop_by(Signal::TERM).0, Some(0));
}
