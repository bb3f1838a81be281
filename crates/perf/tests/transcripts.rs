//! Both machines against each other and against peers that break the protocol.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use std::time::{Duration, Instant};

use bowline_perf::{Client, ClientError, Server, ServerError, Transmit, ZERO_BLOCK_LEN};
use bytes::Bytes;
use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
fn start() -> Instant {
    Instant::now()
}

const MS: Duration = Duration::from_millis(1);

/// Sends a whole upload into the server and returns the number of payload bytes.
fn upload(client: &mut Client, server: &mut Server, now: Instant, limit: usize) {
    while let Some(transmit) = client.poll_transmit(now, limit) {
        match transmit {
            Transmit::Data(bytes) => server.handle_input(&bytes),
            Transmit::Finish => server.handle_end().unwrap(),
        }
    }
}

fn download(server: &mut Server, client: &mut Client, now: Instant, limit: usize) {
    while let Some(transmit) = server.poll_transmit(limit) {
        match transmit {
            Transmit::Data(bytes) => client.handle_input(now, &bytes).unwrap(),
            Transmit::Finish => client.handle_end(now).unwrap(),
        }
    }
}

#[test]
fn nothing_up_and_nothing_down_is_a_header_and_two_ends() {
    let t = start();
    let mut client = Client::new(t, 0, 0);
    assert_eq!(client.poll_transmit(t, usize::MAX), Some(Transmit::Data(Bytes::from_static(&[0; 8]))));
    assert_eq!(client.poll_transmit(t, usize::MAX), Some(Transmit::Finish));
    assert_eq!(client.poll_transmit(t, usize::MAX), None);

    let mut server = Server::new();
    server.handle_input(&[0; 8]);
    server.handle_end().unwrap();
    assert_eq!(server.poll_transmit(usize::MAX), Some(Transmit::Finish));
    assert_eq!(server.poll_transmit(usize::MAX), None);
    client.handle_end(t).unwrap();
    assert!(client.report().is_some());
}

#[test]
fn the_header_is_big_endian() {
    let t = start();
    let mut client = Client::new(t, 0, 0x0102_0304_0506_0708);
    let header = Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(client.poll_transmit(t, 1), Some(Transmit::Data(header)));
}

#[test]
fn the_download_is_exact() {
    for size in [1, 65_537, 10 * 1024 * 1024] {
        let t = start();
        let (mut client, mut server) = (Client::new(t, 0, size), Server::new());
        upload(&mut client, &mut server, t, usize::MAX);
        download(&mut server, &mut client, t, 65_507);
        assert_eq!(client.report().unwrap().downloaded, size);
    }
}

#[test]
fn ten_mebibytes_go_up_and_ten_come_down() {
    let size = 10 * 1024 * 1024;
    let t = start();
    let (mut client, mut server) = (Client::new(t, size, size), Server::new());
    upload(&mut client, &mut server, t + MS, usize::MAX);
    assert_eq!(server.received(), size);
    download(&mut server, &mut client, t + 5 * MS, usize::MAX);
    let report = client.report().unwrap();
    assert_eq!((report.uploaded, report.downloaded), (size, size));
    assert_eq!((report.upload_time, report.answer_time, report.total_time), (MS, 5 * MS, 5 * MS));
}

#[test]
fn the_server_is_silent_until_the_clients_end() {
    let mut server = Server::new();
    assert_eq!(server.poll_transmit(usize::MAX), None);
    server.handle_input(&(1024u64 * 1024).to_be_bytes());
    assert_eq!(server.poll_transmit(usize::MAX), None);
    server.handle_input(&[0; 100]);
    assert_eq!(server.poll_transmit(usize::MAX), None);
    assert_eq!(server.remaining(), None);
    server.handle_end().unwrap();
    assert_eq!(server.remaining(), Some(1024 * 1024));
    assert!(matches!(server.poll_transmit(usize::MAX), Some(Transmit::Data(_))));
}

#[test]
fn a_header_of_eight_one_byte_pieces_is_a_header() {
    let mut server = Server::new();
    for byte in 3u64.to_be_bytes() {
        server.handle_input(&[byte]);
    }
    server.handle_end().unwrap();
    assert_eq!(server.poll_transmit(usize::MAX), Some(Transmit::Data(Bytes::from_static(&[0; 3]))));
    assert_eq!(server.poll_transmit(usize::MAX), Some(Transmit::Finish));
}

#[test]
fn a_short_header_is_an_error_at_every_length() {
    for received in 0..8 {
        let mut server = Server::new();
        server.handle_input(&[0xff; 8][..received]);
        assert_eq!(server.handle_end(), Err(ServerError::ShortHeader { received }));
        assert_eq!(server.poll_transmit(usize::MAX), None);
    }
}

#[test]
fn the_largest_download_is_valid_and_can_be_left_at_any_time() {
    let t = start();
    let (mut client, mut server) = (Client::new(t, 0, u64::MAX), Server::new());
    upload(&mut client, &mut server, t, usize::MAX);
    let mut read = 0;
    while read < 1024 * 1024 {
        let Some(Transmit::Data(bytes)) = server.poll_transmit(usize::MAX) else { panic!("data follows") };
        client.handle_input(t, &bytes).unwrap();
        read += bytes.len();
    }
    assert_eq!(server.remaining(), Some(u64::MAX - read as u64));
    assert_eq!(client.downloaded(), read as u64);
}

#[test]
fn pieces_are_slices_of_one_static_block() {
    let mut server = Server::new();
    server.handle_input(&u64::MAX.to_be_bytes());
    server.handle_end().unwrap();
    let mut pieces = std::iter::from_fn(|| server.poll_transmit(usize::MAX));
    let (Some(Transmit::Data(first)), Some(Transmit::Data(second))) = (pieces.next(), pieces.next()) else {
        panic!("data follows")
    };
    assert_eq!(first.len(), ZERO_BLOCK_LEN);
    assert_eq!(first.as_ptr(), second.as_ptr(), "no piece has memory of its own");
}

#[test]
fn a_limit_of_zero_sends_nothing_and_loses_nothing() {
    let t = start();
    let (mut client, mut server) = (Client::new(t, 5, 5), Server::new());
    let _header = client.poll_transmit(t, 0);
    assert_eq!(client.poll_transmit(t, 0), None);
    assert_eq!(client.poll_transmit(t, 9), Some(Transmit::Data(Bytes::from_static(&[0; 5]))));
    server.handle_input(&5u64.to_be_bytes());
    server.handle_end().unwrap();
    assert_eq!(server.poll_transmit(0), None);
    assert_eq!(server.remaining(), Some(5));
}

#[test]
fn the_client_names_a_server_that_talks_too_early_too_much_or_too_little() {
    let t = start();
    let mut early = Client::new(t, 1, 10);
    let _header = early.poll_transmit(t, usize::MAX);
    assert_eq!(early.handle_input(t, &[0]), Err(ClientError::EarlyData));
    assert_eq!(early.poll_transmit(t, usize::MAX), None);
    assert_eq!(early.handle_end(t), Err(ClientError::EarlyData));

    let mut much = Client::new(t, 0, 10);
    while much.poll_transmit(t, usize::MAX).is_some() {}
    assert_eq!(much.handle_input(t, &[0; 11]), Err(ClientError::TooMuch { expected: 10 }));
    assert_eq!(much.report(), None);

    let mut little = Client::new(t, 0, 10);
    while little.poll_transmit(t, usize::MAX).is_some() {}
    little.handle_input(t, &[0; 9]).unwrap();
    assert_eq!(little.handle_end(t), Err(ClientError::TooShort { received: 9, expected: 10 }));

    let mut no_upload_taken = Client::new(t, 5, 0);
    let error = ClientError::TooShort { received: 0, expected: 0 };
    assert_eq!(no_upload_taken.handle_end(t), Err(error));
}

proptest! {
    #[test]
    fn every_pair_of_sizes_and_limits_moves_exactly_the_bytes(
        up in 0u64..600_000,
        down in 0u64..600_000,
        limit in 1usize..70_000,
    ) {
        let t = start();
        let (mut client, mut server) = (Client::new(t, up, down), Server::new());
        upload(&mut client, &mut server, t, limit);
        prop_assert_eq!(server.received(), up);
        download(&mut server, &mut client, t, limit);
        let report = client.report().unwrap();
        prop_assert_eq!((report.uploaded, report.downloaded), (up, down));
    }
}
