//! The worker's end of a channel: requests come in through Rust, one frame at a time; outcomes are written by JavaScript
//! straight into the rings, except those that do not fit, which are streamed from here.

use crate::{
    doorbell::Doorbell,
    layout,
    parent::RecordKind,
    ring::{self, Corrupt, RingMemory},
    segment::Segment,
    sleep,
    sync::{AtomicU32, Ordering},
};
use std::time::{Duration, Instant};

/// Bytes of the length that precedes each frame of requests, which has at least one byte.
pub const FRAME_HEADER_BYTES: usize = 4;

/// The worker's end.
#[derive(Debug)]
pub struct WorkerEnd {
    segment: Segment,
    /// Rung by the parent.
    bell: Doorbell,
    /// Rung by us.
    parent_bell: Doorbell,
    /// The frame that is arriving: its length first.
    frame: Vec<u8>,
}

/// The fields of a record that has to be streamed.
#[derive(Clone, Copy, Debug)]
pub struct Streamed<'a> {
    pub kind: RecordKind,
    pub cell: u8,
    pub status: u8,
    pub item: u32,
    pub number: u32,
    pub row: &'a [u8],
    pub text: &'a [u8],
}

impl WorkerEnd {
    /// Takes the inherited parts over.
    #[must_use]
    pub fn new(segment: Segment, bell: Doorbell, parent_bell: Doorbell) -> Self {
        Self { segment, bell, parent_bell, frame: Vec::new() }
    }

    /// The segment, for JavaScript to map.
    #[must_use]
    pub const fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The doorbell to wait for.
    #[must_use]
    pub const fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// The next frame, or `None` once this side has announced that it sleeps. If it may, it polls first where the parent
    /// allows that.
    pub fn receive(&mut self, may_poll: bool) -> Result<Option<Vec<u8>>, Corrupt> {
        if let Some(frame) = self.next_frame()? {
            return Ok(Some(frame));
        }
        let micros = self.segment.word(layout::SPIN_MICROS).load(Ordering::Relaxed).min(1000);
        if may_poll && micros > 0 {
            let until = Instant::now() + Duration::from_micros(micros.into());
            while Instant::now() < until {
                if let Some(frame) = self.next_frame()? {
                    return Ok(Some(frame));
                }
                for _ in 0..32 {
                    std::hint::spin_loop();
                }
                // The parent may have been woken on this very core.
                std::thread::yield_now();
            }
        }
        sleep::announce(self.segment.word(layout::WORKER_SLEEPS));
        let frame = self.next_frame()?;
        if frame.is_some() {
            sleep::withdraw(self.segment.word(layout::WORKER_SLEEPS));
        }
        Ok(frame)
    }

    /// Wakes the parent if it sleeps. Call after publishing.
    pub fn ring(&self) {
        if sleep::must_ring(self.segment.word(layout::PARENT_SLEEPS)) {
            self.parent_bell.ring();
        }
    }

    /// Blocks until the parent has read on in the row or text ring from where it was at the call.
    pub fn wait_for_room(&self, row_head: u32, text_head: u32) {
        let (row, text) = (self.segment.word(layout::ROW_HEAD), self.segment.word(layout::TEXT_HEAD));
        self.wait_until(|| row.load(Ordering::SeqCst) != row_head || text.load(Ordering::SeqCst) != text_head);
    }

    /// Blocks until the parent has handed over messages beyond those that it had at the call.
    pub fn wait_for_messages(&self, message_head: u32) {
        let head = self.segment.word(layout::MESSAGE_HEAD);
        self.wait_until(|| head.load(Ordering::SeqCst) != message_head);
    }

    fn wait_until(&self, has_room: impl Fn() -> bool) {
        let wants = self.segment.word(layout::WORKER_WANTS_ROOM);
        loop {
            sleep::announce(wants);
            self.ring();
            if has_room() {
                sleep::withdraw(wants);
                return;
            }
            wait_while(wants, 1);
        }
    }

    /// Writes a record whose row or text does not fit the rings, as a stream; blocks while there is no room. The row
    /// ring's tail is behind it then.
    ///
    /// # Panics
    ///
    /// With more than [`layout::MAX_RECORD_BYTES`].
    pub fn stream(&self, record: Streamed<'_>) -> Result<(), Corrupt> {
        let whole = record.row.len() + record.text.len();
        assert!(whole as u64 <= layout::MAX_RECORD_BYTES, "a record of {whole} bytes");
        let row_area = self.segment.row();
        let (head, tail) = (self.segment.word(layout::ROW_HEAD), self.segment.word(layout::ROW_TAIL));
        // A header does not go around the end.
        let to_end = row_area.capacity() - (tail.load(Ordering::Relaxed) & (row_area.capacity() - 1));
        let skipped = if to_end < layout::RECORD_BYTES as u32 { to_end as usize } else { 0 };
        let mut header = [0; layout::RECORD_BYTES];
        header[0..4].copy_from_slice(&(record.row.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&(record.text.len() as u32).to_le_bytes());
        header[12] = record.kind as u8 | layout::STREAMED;
        header[13] = record.cell;
        header[14] = record.status;
        header[16..20].copy_from_slice(&record.item.to_le_bytes());
        header[20..24].copy_from_slice(&record.number.to_le_bytes());
        // The parent takes a header only whole.
        let used = tail.load(Ordering::Relaxed).wrapping_sub(head.load(Ordering::SeqCst));
        let mut room = row_area.capacity().checked_sub(used).ok_or(Corrupt)? as usize;
        while room < skipped + header.len() {
            self.wait_for_room(
                head.load(Ordering::SeqCst),
                self.segment.word(layout::TEXT_HEAD).load(Ordering::SeqCst),
            );
            let used = tail.load(Ordering::Relaxed).wrapping_sub(head.load(Ordering::SeqCst));
            room = row_area.capacity().checked_sub(used).ok_or(Corrupt)? as usize;
        }
        let mut first = vec![0; skipped];
        first.extend_from_slice(&header);
        ring::write(&row_area, head, tail, &first)?;
        let fill = whole.next_multiple_of(layout::RECORD_ALIGN) - whole;
        for mut bytes in [record.row, record.text, &[0; layout::RECORD_ALIGN][..fill]] {
            while !bytes.is_empty() {
                let (row_head, text_head) =
                    (head.load(Ordering::SeqCst), self.segment.word(layout::TEXT_HEAD).load(Ordering::SeqCst));
                let count = ring::write(&row_area, head, tail, bytes)?;
                bytes = &bytes[count..];
                if count == 0 {
                    self.wait_for_room(row_head, text_head);
                }
            }
        }
        self.ring();
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<Vec<u8>>, Corrupt> {
        loop {
            let have = self.frame.len();
            let need = if have < FRAME_HEADER_BYTES {
                FRAME_HEADER_BYTES
            } else {
                let length = u32::from_le_bytes([self.frame[0], self.frame[1], self.frame[2], self.frame[3]]);
                FRAME_HEADER_BYTES + length as usize
            };
            if have == need && have > FRAME_HEADER_BYTES {
                return Ok(Some(std::mem::take(&mut self.frame)));
            }
            self.frame.reserve_exact(need - have);
            let (head, tail) = (self.segment.word(layout::REQUEST_HEAD), self.segment.word(layout::REQUEST_TAIL));
            let count = ring::read(&self.segment.request(), head, tail, &mut self.frame, need - have)?;
            if count > 0 && sleep::must_ring(self.segment.word(layout::PARENT_WANTS_ROOM)) {
                self.parent_bell.ring();
            }
            if count == 0 {
                return Ok(None);
            }
        }
    }
}

/// Blocks while the word has this value, for 100 ms at most.
fn wait_while(word: &AtomicU32, value: u32) {
    let timeout = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    // SAFETY: the word and the timeout live through the call; a shared (not private) futex works between processes.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const timeout) };
}

/// Wakes the worker that waits in [`WorkerEnd::wait_for_room`].
pub(crate) fn wake_waiter(word: &AtomicU32) {
    // SAFETY: the word lives through the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
