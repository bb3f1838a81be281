//! Carries packets between two devices, each after the link's delay.

use std::{collections::VecDeque, io, time::Duration};

use tokio::time::Instant;
use tokio_tun::Tun;

use crate::compare::{
    network::Rate,
    shaper::{Shaper, wait_until},
};

/// The longest packet that a device hands over.
const LONGEST_PACKET: usize = 64 * 1024;
/// Packets taken in before those that are due go out.
const PACKETS_AT_ONCE: usize = 64;
/// Bytes under way in one direction; 50 ms of 2.5 GB/s, more than a relay carries.
const UNDER_WAY_BYTES: usize = 128 * 1024 * 1024;

/// One direction of the link.
#[derive(Debug)]
struct Line {
    shaper: Shaper,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

/// Carries packets both ways until a device fails.
pub(crate) async fn run(left: &Tun, right: &Tun, delay: Duration, rate: Option<Rate>) -> io::Result<()> {
    let (mut to_right, mut to_left) = (Line::new(delay, rate), Line::new(delay, rate));
    let (mut from_left, mut from_right) = (vec![0; LONGEST_PACKET], vec![0; LONGEST_PACKET]);
    loop {
        let next = [to_right.next_due(), to_left.next_due()].into_iter().flatten().min();
        tokio::select! {
            () = until(next) => {}
            len = left.recv(&mut from_left) => {
                to_right.enter(Instant::now(), &from_left[..len?]);
                to_right.take_in(left, &mut from_left)?;
            }
            len = right.recv(&mut from_right) => {
                to_left.enter(Instant::now(), &from_right[..len?]);
                to_left.take_in(right, &mut from_right)?;
            }
        }
        to_right.put_out(right)?;
        to_left.put_out(left)?;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => wait_until(due).await,
        None => std::future::pending().await,
    }
}

impl Line {
    fn new(delay: Duration, rate: Option<Rate>) -> Self {
        Self { shaper: Shaper::new(delay, rate), under_way: VecDeque::new(), bytes: 0 }
    }

    /// Puts a packet on its way, or drops it as a full queue does.
    fn enter(&mut self, now: Instant, packet: &[u8]) {
        if self.bytes >= UNDER_WAY_BYTES || !self.shaper.until_room(now).is_zero() {
            return;
        }
        let due = self.shaper.enter(now, packet.len());
        self.bytes += packet.len();
        self.under_way.push_back((due, packet.to_vec()));
    }

    fn next_due(&self) -> Option<Instant> {
        Some(self.under_way.front()?.0)
    }

    /// The packet that comes out by now, if one does.
    fn leave(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_due()? > now {
            return None;
        }
        let (_, packet) = self.under_way.pop_front()?;
        self.bytes -= packet.len();
        Some(packet)
    }

    /// Takes what more packets the device has ready.
    fn take_in(&mut self, device: &Tun, buffer: &mut [u8]) -> io::Result<()> {
        let now = Instant::now();
        for _ in 0..PACKETS_AT_ONCE {
            match device.try_recv(buffer) {
                Ok(len) => self.enter(now, &buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands over every packet that is due.
    fn put_out(&mut self, device: &Tun) -> io::Result<()> {
        let now = Instant::now();
        while let Some(packet) = self.leave(now) {
            match device.try_send(&packet) {
                Ok(_) => {}
                // A device that has no room loses a packet, as any device does.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn packets_come_out_late_and_in_order() {
        let mut line = Line::new(DELAY, None);
        let now = Instant::now();
        line.enter(now, b"first");
        line.enter(now + Duration::from_millis(1), b"second");
        assert_eq!(line.leave(now + DELAY - Duration::from_micros(1)), None);
        assert_eq!(line.next_due(), Some(now + DELAY));
        assert_eq!(line.leave(now + DELAY).unwrap(), b"first");
        assert_eq!(line.leave(now + DELAY), None);
        assert_eq!(line.leave(now + 2 * DELAY).unwrap(), b"second");
        assert_eq!((line.next_due(), line.bytes), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_drops() {
        let mut line = Line::new(DELAY, Some(Rate { bits_per_second: 10_000_000 }));
        let now = Instant::now();
        let packet = vec![0; 1_500];
        for _ in 0..20_000 {
            line.enter(now, &packet);
        }
        let queued = line.under_way.len() * packet.len();
        assert!((16 << 20..(16 << 20) + 2 * 1_500).contains(&queued), "{queued}");
        // One packet later there is room for one.
        line.enter(now + Duration::from_millis(2), &packet);
        assert_eq!(line.under_way.len() * packet.len(), queued + 1_500);
    }
}
