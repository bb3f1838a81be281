//! The output of a cat.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

/// Counts what was written, and tells whether the output holds its writer up.
pub(crate) struct Counted<'a, W> {
    out: &'a mut W,
    written: u64,
    is_held: &'a AtomicBool,
}

impl<'a, W> Counted<'a, W> {
    pub(crate) fn new(out: &'a mut W, is_held: &'a AtomicBool) -> Self {
        Self { out, written: 0, is_held }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    fn note<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.is_held.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<'_, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut *self.out).poll_write(cx, bytes);
        if let Poll::Ready(Ok(wrote)) = &polled {
            self.written += *wrote as u64;
        }
        self.note(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut *self.out).poll_flush(cx);
        self.note(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut *self.out).poll_shutdown(cx);
        self.note(polled)
    }
}
