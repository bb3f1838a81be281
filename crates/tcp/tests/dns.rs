//! `DnsResolver` against a name server of our own on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bowline_tcp::resolve::{DnsResolver, Resolver};
use bowline_tcp::{TcpOptions, TcpTransport};
use bowline_transport::{Transport, TransportError};
use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        RData, Record, RecordType,
        rdata::{A, TXT},
    },
};
use std::sync::Arc;
use tokio::net::UdpSocket;

/// Answers what it knows, for ever.
async fn serve(socket: UdpSocket) -> std::io::Error {
    let mut buffer = [0; 1500];
    loop {
        let (len, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => return error,
        };
        let reply = answer(Message::from_vec(&buffer[..len]).unwrap());
        if let Err(error) = socket.send_to(&reply.to_vec().unwrap(), from).await {
            return error;
        }
    }
}

fn answer(mut message: Message) -> Message {
    let query = message.queries[0].clone();
    let known = match (query.name().to_utf8().to_lowercase().as_str(), query.query_type()) {
        ("a.example.", RecordType::A) => Some(vec![RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))]),
        ("a.example.", _) => Some(vec![]),
        ("_dnsaddr.a.example.", RecordType::TXT) => {
            let parts = vec!["dnsaddr=/dns4/a.exam".to_owned(), "ple/tcp/4001".to_owned()];
            Some(vec![RData::TXT(TXT::new(parts))])
        }
        _ => None,
    };
    message.metadata.message_type = MessageType::Response;
    message.metadata.response_code =
        if known.is_some() { ResponseCode::NoError } else { ResponseCode::NXDomain };
    for data in known.into_iter().flatten() {
        message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    message
}

async fn with_server<T>(run: impl AsyncFnOnce(DnsResolver) -> T) -> T {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server: SocketAddr = socket.local_addr().unwrap();
    tokio::select! {
        biased;
        result = run(DnsResolver::with_servers(&[server])) => result,
        error = serve(socket) => panic!("the name server failed: {error}"),
    }
}

#[tokio::test]
async fn hosts_and_texts_are_found_and_texts_in_pieces_are_joined() {
    with_server(async |dns| {
        let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(dns.addresses("a.example").await.unwrap(), [ip]);
        assert_eq!(dns.texts("_dnsaddr.a.example").await.unwrap(), ["dnsaddr=/dns4/a.example/tcp/4001"]);
    })
    .await;
}

#[tokio::test]
async fn a_link_leads_to_an_address() {
    with_server(async |dns| {
        let tcp = TcpTransport::with_resolver(TcpOptions::default(), Some(Arc::new(dns)));
        let found = tcp.resolve(&"/dnsaddr/a.example".parse().unwrap()).await.unwrap();
        assert_eq!(found, ["/ip4/192.0.2.1/tcp/4001".parse().unwrap()]);
    })
    .await;
}

#[tokio::test]
async fn a_missing_name_is_told_from_a_missing_record() {
    with_server(async |dns| {
        let reason = |error: TransportError| match error {
            TransportError::Resolve { name, reason } => (name, reason),
            other => panic!("{other:?}"),
        };
        let missing = reason(dns.addresses("gone.example").await.unwrap_err());
        assert_eq!(missing, ("gone.example".to_owned(), "no such name".to_owned()));
        let no_text = reason(dns.texts("a.example").await.unwrap_err());
        assert_eq!(no_text.1, "the name has no such record");
        let malformed = reason(dns.addresses(&"x".repeat(64)).await.unwrap_err());
        assert_eq!(malformed.0, "x".repeat(64));
    })
    .await;
}
