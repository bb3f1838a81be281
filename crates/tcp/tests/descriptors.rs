//! The listener without file descriptors. Alone in its file, because the limit is the whole process's.
#![cfg(target_os = "linux")]

use std::{fs::File, net::TcpStream, time::Duration};

use bowline_tcp::TcpTransport;
use bowline_transport::Transport;
use rlimit::Resource;
use tokio::time::timeout;

/// Opens files until the process has no descriptor left.
fn exhaust() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test]
async fn a_listener_without_descriptors_waits_and_goes_on() {
    let (_soft, hard) = Resource::NOFILE.get().unwrap();
    Resource::NOFILE.set(64.min(hard), hard).unwrap();
    let tcp = TcpTransport::with_resolver(Default::default(), None);
    let mut listener = tcp.listen(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap();
    let port = listener.addresses()[0].to_string().rsplit('/').next().unwrap().parse::<u16>().unwrap();
    let waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();

    let hoarded = exhaust();
    assert!(File::open("/dev/null").is_err());
    let starved = timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(starved.is_err(), "no descriptor, no connection, and no error either");

    drop(hoarded);
    let accepted = listener.accept().await.unwrap();
    let expected = format!("/ip4/127.0.0.1/tcp/{}", waiting.local_addr().unwrap().port());
    assert_eq!(accepted.remote_addr.to_string(), expected);
}
