//! Sealed records over a blocking socket: the ceiling for one connection with Noise on this machine.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Instant,
};

use anyhow::Result;
use bowline_benches::{job::Transfer, lines};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde_json::json;

use crate::server::{PLAIN, SEALED_DOWN, SEALED_UP};

const LENGTH_PREFIX: usize = 2;
const TAG: usize = 16;
const PLAINTEXT: usize = 65_519;
const RECORD: usize = LENGTH_PREFIX + PLAINTEXT + TAG;
/// Records of one write, and of one read's buffer.
const RECORDS_AT_ONCE: usize = 4;

/// Which ways the bytes go.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    pub(crate) up: bool,
    pub(crate) down: bool,
}

/// Runs a transfer, each way on a connection and thread of its own.
pub(crate) fn run(to: &str, plan: Transfer, ways: Ways) -> Result<()> {
    // Connected before the clock starts, as the others' connections are.
    let up = ways.up.then(|| connect(to)).transpose()?;
    let down = ways.down.then(|| connect(to)).transpose()?;
    lines::ready()?;
    let started = now();
    thread::scope(|scope| {
        let up = up.map(|socket| scope.spawn(move || upload(&socket, plan)));
        let down = down.map(|socket| scope.spawn(move || download(&socket, plan.bytes)));
        for running in [up, down].into_iter().flatten() {
            running.join().map_err(|_| io::Error::other("a thread panicked"))??;
        }
        io::Result::Ok(())
    })?;
    let bytes = plan.bytes * (u64::from(ways.up) + u64::from(ways.down));
    lines::result(json!({"bytes": bytes, "seconds": started.elapsed().as_secs_f64()}))
}

fn connect(to: &str) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(to)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn upload(mut socket: &TcpStream, plan: Transfer) -> io::Result<()> {
    socket.write_all(&[if plan.plain { PLAIN } else { SEALED_UP }])?;
    if plan.plain {
        send_plain(socket, plan)?;
    } else {
        send(socket, plan.bytes)?;
    }
    socket.shutdown(Shutdown::Write)?;
    // The other side has read everything.
    socket.read_exact(&mut [0])
}

fn download(mut socket: &TcpStream, bytes: u64) -> io::Result<()> {
    let mut request = vec![SEALED_DOWN];
    request.extend_from_slice(&bytes.to_be_bytes());
    socket.write_all(&request)?;
    let received = receive(socket)?;
    if received == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn send_plain(mut socket: &TcpStream, plan: Transfer) -> io::Result<()> {
    let data = vec![0; plan.buffer];
    let mut left = plan.bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        socket.write_all(&data[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

/// Sends `bytes` in sealed records.
pub(crate) fn send(mut socket: &TcpStream, bytes: u64) -> io::Result<()> {
    let (key, mut counter) = (key()?, 0);
    let mut out = vec![0; RECORDS_AT_ONCE * RECORD];
    let mut left = bytes;
    while left > 0 {
        let mut filled = 0;
        for record in out.chunks_exact_mut(RECORD) {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PLAINTEXT);
            if piece == 0 {
                break;
            }
            let record = &mut record[..LENGTH_PREFIX + piece + TAG];
            let (prefix, rest) = record.split_at_mut(LENGTH_PREFIX);
            let (plaintext, tag) = rest.split_at_mut(piece);
            let sealed = key.seal_in_place_separate_tag(nonce(&mut counter), Aad::empty(), plaintext);
            tag.copy_from_slice(sealed.map_err(|_| io::Error::other("sealing failed"))?.as_ref());
            let len = u16::try_from(piece + TAG).map_err(io::Error::other)?;
            prefix.copy_from_slice(&len.to_be_bytes());
            filled += LENGTH_PREFIX + piece + TAG;
            left -= piece as u64;
        }
        socket.write_all(&out[..filled])?;
    }
    Ok(())
}

/// Receives sealed records to the end, and counts their bytes.
pub(crate) fn receive(mut socket: &TcpStream) -> io::Result<u64> {
    let (key, mut counter) = (key()?, 0);
    let mut buffer = vec![0; RECORDS_AT_ONCE * RECORD];
    let (mut start, mut end, mut received) = (0, 0, 0);
    loop {
        while let Some(prefix) = buffer[start..end].first_chunk::<LENGTH_PREFIX>() {
            let len = usize::from(u16::from_be_bytes(*prefix));
            let body = start + LENGTH_PREFIX;
            if end - body < len {
                break;
            }
            let record = &mut buffer[body..body + len];
            let opened = key.open_in_place(nonce(&mut counter), Aad::empty(), record);
            received += opened.map_err(|_| io::Error::other("a record does not open"))?.len() as u64;
            start = body + len;
        }
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        match socket.read(&mut buffer[end..])? {
            0 => return Ok(received),
            len => end += len,
        }
    }
}

fn key() -> io::Result<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &[7; 32]);
    Ok(LessSafeKey::new(key.map_err(|_| io::Error::other("no key"))?))
}

fn nonce(counter: &mut u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    *counter += 1;
    Nonce::assume_unique_for_key(bytes)
}

fn now() -> Instant {
    Instant::now()
}
