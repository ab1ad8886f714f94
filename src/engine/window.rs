//! The window of a call: what is between its source and its consumer, and how much more the source may be pulled.

use super::{CallConfig, Credit, MAX_AUTO_WINDOW, MAX_CHUNK_ITEMS};

/// How long a chunk should keep a worker busy: long against the cost of a crossing (some 20 µs), short against what a
/// user would notice.
pub(super) const TARGET_CHUNK_NANOS: u64 = 2_000_000;
/// A measured chunk may be followed by one at most this many times as large.
const GROWTH: u32 = 8;
/// Items of a call with keys that may be between source and consumer for each worker, however slow they are: among few
/// items there may be none for it.
const KEYED_WINDOW: u32 = 64;

#[derive(Debug, Default)]
pub(super) struct Window {
    /// Items and bytes between source and consumer.
    items: u32,
    bytes: u64,
    /// The part of them that is delivered.
    unconsumed: u32,
    unconsumed_bytes: u64,
    nanos_per_item: Option<u64>,
    /// Items of the largest chunk that was measured lately.
    measured_items: u32,
}

impl Window {
    /// Items came from the source.
    pub fn take(&mut self, sizes: &[u32]) {
        self.items += sizes.len() as u32;
        self.bytes += sizes.iter().map(|&bytes| u64::from(bytes)).sum::<u64>();
    }

    /// Outcomes are there in the place of items.
    pub fn change(&mut self, items: u64, outcomes: u64) {
        self.bytes = self.bytes - items + outcomes;
    }

    /// Outcomes are on their way to the consumer.
    pub fn deliver(&mut self, items: u32, bytes: u64) {
        self.unconsumed += items;
        self.unconsumed_bytes += bytes;
    }

    /// The owner may count the bytes of an outcome that it made itself (of a lost item) otherwise than we do: never
    /// more than was delivered is taken off, and when all is consumed the count is right again.
    pub fn consume(&mut self, items: u32, bytes: u64) {
        let items = items.min(self.unconsumed);
        self.unconsumed -= items;
        let bytes = if self.unconsumed == 0 { self.unconsumed_bytes } else { bytes.min(self.unconsumed_bytes) };
        self.unconsumed_bytes -= bytes;
        self.items -= items;
        self.bytes -= bytes;
    }

    /// A worker took this long for this many items, in so many lanes: as many of them overlapped.
    pub fn measure(&mut self, items: u32, lanes: u32, micros: u32) {
        if items == 0 {
            return;
        }
        // Half a microsecond: the clock's own grain.
        let nanos = (u64::from(micros) * 1000).max(500) * u64::from(lanes.min(items)) / u64::from(items);
        self.nanos_per_item = Some(self.nanos_per_item.map_or(nanos, |before| u64::midpoint(before, nanos)));
        self.measured_items = items.max(self.measured_items.min(items.saturating_mul(2)));
    }

    pub fn nanos_per_item(&self) -> Option<u64> {
        self.nanos_per_item
    }

    /// `holders`: the most workers that run the call at once.
    pub fn credit(&self, config: &CallConfig, holders: u32) -> Credit {
        let chunk = self.chunk_items(config, holders);
        let keyed = if config.keyed { holders.saturating_mul(KEYED_WINDOW) } else { 0 };
        let least = config.concurrency.saturating_mul(2).max(keyed.min(MAX_AUTO_WINDOW));
        let automatic = || holders.saturating_mul(2).saturating_mul(chunk).max(least).min(MAX_AUTO_WINDOW.max(least));
        Credit {
            items: config.window.unwrap_or_else(automatic).saturating_sub(self.items),
            bytes: config.max_bytes.saturating_sub(self.bytes),
            chunk,
            hungry: false,
        }
    }

    fn chunk_items(&self, config: &CallConfig, holders: u32) -> u32 {
        let window = config.window.unwrap_or(MAX_AUTO_WINDOW);
        let (wanted, most) = match config.chunk {
            Some(chunk) => (chunk, window),
            // Every worker should have its two chunks, whatever the window.
            None => (self.fitting_items(config, holders), window / holders.saturating_mul(2)),
        };
        wanted.clamp(1, most.clamp(1, MAX_CHUNK_ITEMS))
    }

    /// As many items as take a worker with all its lanes one to two milliseconds, as far as we know.
    fn fitting_items(&self, config: &CallConfig, holders: u32) -> u32 {
        let Some(nanos) = self.nanos_per_item else { return 1 };
        let target = TARGET_CHUNK_NANOS * u64::from(config.concurrency.div_ceil(holders));
        let fitting = target.div_ceil(nanos.max(1)).min(u64::from(MAX_CHUNK_ITEMS)) as u32;
        // Those with keys travel in parts of their own, however large their chunk.
        if config.keyed { fitting } else { fitting.min(self.measured_items.saturating_mul(GROWTH)) }
    }
}
