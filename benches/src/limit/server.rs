//! The serving side of the bare socket. The first byte of a connection says what it is for.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use anyhow::Result;
use bowline_benches::{job::Runtime, lines};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pipe;

/// Echo through the runtime.
pub(crate) const ECHO: u8 = b'e';
/// Read plain bytes to the end, then answer with one.
pub(crate) const PLAIN: u8 = b'p';
/// Read sealed records to the end, then answer with one byte.
pub(crate) const SEALED_UP: u8 = b'u';
/// Read a length, and send as many bytes in sealed records.
pub(crate) const SEALED_DOWN: u8 = b'd';

/// Serves until stdin ends.
///
/// Transfers run on a thread each, with blocking calls; echoes run on the runtime, since that is what a
/// ping through any runtime costs at least.
pub(crate) fn serve(listen: &str, runtime: Runtime) -> Result<()> {
    let listener = TcpListener::bind(listen)?;
    lines::listening(&listener.local_addr()?.to_string())?;
    let (sender, mut echoes) = tokio::sync::mpsc::channel::<TcpStream>(1024);
    thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let sender = sender.clone();
            // The first byte is read here, so that a connect costs no thread.
            let mut purpose = [0];
            let read = socket.set_nodelay(true).and_then(|()| (&socket).read_exact(&mut purpose));
            match (read, purpose[0]) {
                (Ok(()), ECHO) => drop(sender.blocking_send(socket)),
                (Ok(()), purpose) => {
                    thread::spawn(move || report(transfer(socket, purpose)));
                }
                (Err(error), _) => report(Err(error)),
            }
        }
    });
    runtime.run(async move {
        let mut stdin = tokio::task::spawn_blocking(lines::until_stdin_ends);
        loop {
            tokio::select! {
                ended = &mut stdin => return ended?,
                Some(socket) = echoes.recv() => echo_in_task(socket)?,
            }
        }
    })
}

#[expect(clippy::print_stderr, reason = "a program's log")]
fn report(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        eprintln!("a connection failed: {error}");
    }
}

fn transfer(mut socket: TcpStream, purpose: u8) -> io::Result<()> {
    match purpose {
        PLAIN => {
            let mut buffer = vec![0; 256 * 1024];
            while socket.read(&mut buffer)? > 0 {}
            socket.write_all(&[0])
        }
        SEALED_UP => {
            pipe::receive(&socket)?;
            socket.write_all(&[0])
        }
        SEALED_DOWN => {
            let mut len = [0; 8];
            socket.read_exact(&mut len)?;
            pipe::send(&socket, u64::from_be_bytes(len))
        }
        other => Err(io::Error::other(format!("unknown purpose {other}"))),
    }
}

fn echo_in_task(socket: TcpStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let mut socket = tokio::net::TcpStream::from_std(socket)?;
    tokio::spawn(async move {
        let mut buffer = vec![0; 1024];
        while let Ok(len @ 1..) = socket.read(&mut buffer).await {
            if socket.write_all(&buffer[..len]).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
