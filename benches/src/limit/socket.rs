//! Round trips and connects over TCP through the runtime that every stack here uses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use bowline_benches::{job::percentiles, lines};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::server::ECHO;

const PING_BYTES: usize = 32;

/// Round trips of 32 bytes on one connection.
pub(crate) async fn pings(to: String, count: usize) -> Result<()> {
    let mut socket = connect(&to).await?;
    round_trip::<PING_BYTES>(&mut socket).await?;
    lines::ready()?;
    let mut seconds = Vec::with_capacity(count);
    for _ in 0..count {
        let started = now();
        round_trip::<PING_BYTES>(&mut socket).await?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    lines::result(percentiles(seconds))
}

/// Connections that echo one byte each.
pub(crate) async fn connects(to: String, count: usize, parallel: usize) -> Result<()> {
    lines::ready()?;
    let (started, next) = (now(), Arc::new(AtomicUsize::new(0)));
    let mut running = JoinSet::new();
    for _ in 0..parallel {
        let (to, next) = (to.clone(), Arc::clone(&next));
        running.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                round_trip::<1>(&mut connect(&to).await?).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    lines::result(json!({"count": count, "seconds": started.elapsed().as_secs_f64()}))
}

async fn connect(to: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(to).await?;
    socket.set_nodelay(true)?;
    socket.write_all(&[ECHO]).await?;
    Ok(socket)
}

async fn round_trip<const LEN: usize>(socket: &mut TcpStream) -> Result<()> {
    socket.write_all(&[7; LEN]).await?;
    socket.read_exact(&mut [0; LEN]).await?;
    Ok(())
}

fn now() -> Instant {
    Instant::now()
}
