//! Agreeing on a protocol.

use bowline_multistream::{Dialer, Listener, ProtocolId};
use bytes::BytesMut;
use criterion::{Criterion, criterion_group, criterion_main};

const PROTOCOL: ProtocolId = ProtocolId::from_static("/ipfs/bitswap/1.2.0");

fn agree(criterion: &mut Criterion) {
    criterion.bench_function("agree on the first proposal", |bencher| {
        bencher.iter(|| {
            let (mut dialer, mut listener) = (Dialer::new(vec![PROTOCOL]), Listener::new());
            let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
            while let Some(message) = dialer.poll_message() {
                there.extend_from_slice(&message);
            }
            let supported = |name: &str| name == PROTOCOL.as_str();
            let proposal = listener.handle_input(&mut there, &supported).expect("well-formed");
            assert!(proposal.is_some(), "it is supported");
            listener.accept();
            while let Some(message) = listener.poll_message() {
                back.extend_from_slice(&message);
            }
            dialer.handle_input(&mut back).expect("well-formed").expect("agreed")
        });
    });
}

criterion_group!(multistream, agree);
criterion_main!(multistream);
