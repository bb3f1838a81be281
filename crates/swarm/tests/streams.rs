//! What streams promise, over real sockets.
#![allow(clippy::too_many_lines, clippy::disallowed_methods, reason = "transcripts that spawn their peers")]

mod common;

use bowline_swarm::{CloseReason, OpenError, OpenOptions, Party, ProtocolId, StreamError};
use common::{ECHO, SINK, memory_pair, serve_echo, tcp_pair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn bytes_go_there_and_back() {
    let (listener, dialer) = tcp_pair().await;
    serve_echo(&listener);
    let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
    let sent: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let (mut read, mut write) = tokio::io::split(stream);
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let ((), read_len) = tokio::join!(writing, read.read_to_end(&mut received));
    assert_eq!(read_len.unwrap(), sent.len());
    assert!(received == sent);
    stream = read.unsplit(write);
    assert_eq!(stream.peer(), listener.peer_id());
}

#[tokio::test]
async fn write_finish_drop_delivers_every_time() {
    const ROUNDS: usize = 10_000;
    let (listener, dialer) = tcp_pair().await;
    let mut incoming = listener.accept(SINK).unwrap();
    let sink = tokio::spawn(async move {
        for round in 0..ROUNDS {
            let mut stream = incoming.next().await.unwrap();
            let whole = stream.read_to_end(100).await;
            assert_eq!(whole.as_deref(), Ok(&b"everything"[..]), "round {round}");
        }
    });
    for _ in 0..ROUNDS {
        let mut stream = dialer.open_stream(listener.peer_id(), SINK).await.unwrap();
        stream.write_chunk("everything".into()).await.unwrap();
        stream.finish().await.unwrap();
    }
    sink.await.unwrap();
}

#[tokio::test]
async fn dropping_an_unfinished_stream_is_a_reset_and_no_end() {
    let (listener, dialer) = tcp_pair().await;
    let mut incoming = listener.accept(SINK).unwrap();
    let mut stream = dialer.open_stream(listener.peer_id(), SINK).await.unwrap();
    stream.write_chunk("half".into()).await.unwrap();
    let mut inbound = incoming.next().await.unwrap();
    drop(stream);
    let whole = inbound.read_to_end(100).await;
    assert_eq!(whole, Err(StreamError::Reset { code: 0, by: Party::Remote }));
}

#[tokio::test]
async fn a_reset_arrives_with_its_code() {
    let (listener, dialer) = tcp_pair().await;
    let mut incoming = listener.accept(SINK).unwrap();
    let mut stream = dialer.open_stream(listener.peer_id(), SINK).await.unwrap();
    let mut inbound = incoming.next().await.unwrap();
    inbound.reset(0x1234);
    assert_eq!(stream.read_chunk(1).await, Err(StreamError::Reset { code: 0x1234, by: Party::Remote }));
    assert_eq!(inbound.read_chunk(1).await, Err(StreamError::Reset { code: 0x1234, by: Party::Local }));
}

#[tokio::test]
async fn a_protocol_that_nobody_serves_is_refused() {
    let (listener, dialer) = tcp_pair().await;
    let nothing = ProtocolId::from_static("/test/nothing/1");
    let certain = OpenOptions { await_agreement: true, ..OpenOptions::default() };
    let refused = dialer.open_stream_with(listener.peer_id(), nothing.clone(), &certain).await.unwrap_err();
    assert_eq!(refused, OpenError::Refused { offered: vec![nothing.clone()] });

    // Without waiting, the refusal comes with the first read, and with every operation after it.
    let mut stream = dialer.open_stream(listener.peer_id(), nothing.clone()).await.unwrap();
    stream.write_chunk("lost".into()).await.unwrap();
    let refused = Err(StreamError::Refused { protocol: nothing });
    assert_eq!(stream.read_chunk(1).await, refused);
    assert_eq!(stream.write_chunk("more".into()).await.map(|()| None), refused);
}

#[tokio::test]
async fn the_first_protocol_that_the_peer_speaks_is_taken() {
    let (listener, dialer) = tcp_pair().await;
    serve_echo(&listener);
    let offered = vec![ProtocolId::from_static("/test/echo/2"), ECHO];
    let stream = dialer.open_stream(listener.peer_id(), offered).await.unwrap();
    assert_eq!(*stream.protocol(), ECHO);
}

#[tokio::test]
async fn two_sides_that_write_before_they_read_do_not_block_each_other() {
    const SIZE: usize = 64 * 1024 * 1024;
    let (listener, dialer) = tcp_pair().await;
    let mut incoming = listener.accept(SINK).unwrap();
    let outbound = dialer.open_stream(listener.peer_id(), SINK).await.unwrap();
    let inbound = incoming.next().await.unwrap();
    let exchange = |stream| async move {
        let (mut read, mut write) = tokio::io::split(stream);
        let writing = async {
            let piece = vec![1; 1 << 20];
            for _ in 0..SIZE >> 20 {
                write.write_all(&piece).await.unwrap();
            }
            write.shutdown().await.unwrap();
        };
        let reading = async {
            let mut total = 0;
            let mut buffer = vec![0; 1 << 16];
            loop {
                match read.read(&mut buffer).await.unwrap() {
                    0 => return total,
                    len => total += len,
                }
            }
        };
        tokio::join!(writing, reading).1
    };
    let (there, back) = tokio::join!(tokio::spawn(exchange(outbound)), tokio::spawn(exchange(inbound)));
    assert_eq!((there.unwrap(), back.unwrap()), (SIZE, SIZE));
}

#[tokio::test]
async fn closing_a_connection_tells_the_peer_why() {
    let (listener, dialer) = tcp_pair().await;
    serve_echo(&listener);
    let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
    stream.negotiated().await.unwrap();
    let connection = dialer.connection(listener.peer_id()).unwrap();
    listener.connection(dialer.peer_id()).unwrap().close(0x1005);
    assert_eq!(connection.closed().await, CloseReason::Remote { code: 0x1005 });
    let ended = StreamError::Connection(CloseReason::Remote { code: 0x1005 });
    assert_eq!(stream.read_chunk(1).await, Err(ended));
}

#[tokio::test]
async fn the_same_works_without_sockets() {
    let (listener, dialer) = memory_pair(bowline_swarm::Config::default()).await;
    serve_echo(&listener);
    let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
    stream.write_chunk("hello".into()).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(stream.read_to_end(10).await.unwrap(), b"hello");
}
