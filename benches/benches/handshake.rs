//! The handshake's arithmetic, both sides of it: half of this is what one side computes.

use std::time::Instant;

use bowline_connection::{Upgrade, UpgradeConfig};
use bowline_identity::Keypair;
use bowline_noise::Identity;
use bytes::BytesMut;
use criterion::{Criterion, criterion_group, criterion_main};

fn upgrade(criterion: &mut Criterion) {
    let config =
        |seed| UpgradeConfig::new(Identity::new(&Keypair::from_ed25519_seed([seed; 32]), [seed; 32]));
    let (dialing, listening) = (config(1), config(2));
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let now = Instant::now();
    let mut count = 0_u64;
    criterion.bench_function("dialer and listener, from TCP to Yamux", |bencher| {
        bencher.iter(|| {
            count += 1;
            let seed = |side: u64| bowline_noise::derive_seed(&[9; 32], 2 * count + side);
            let mut dialer = Upgrade::dialer(now, &dialing, None, seed(0));
            let mut listener = Upgrade::listener(now, &listening, seed(1));
            let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
            let (mut dialed, mut listened) = (None, None);
            while dialed.is_none() || listened.is_none() {
                while dialer.poll_transmit(&mut there) {}
                listener.handle_input(now, &mut there).expect("a peer that keeps the rules");
                while listener.poll_transmit(&mut back) {}
                dialer.handle_input(now, &mut back).expect("a peer that keeps the rules");
                dialed = dialed.or_else(|| dialer.poll_upgraded(now));
                listened = listened.or_else(|| listener.poll_upgraded(now));
            }
            (dialed.map(|end| end.peer), listened.map(|end| end.peer))
        });
    });
}

criterion_group!(handshake, upgrade);
criterion_main!(handshake);
