//! Where everything lies in a segment. `lib/worker-port.js` holds the same numbers for JavaScript; a test compares them.
//!
//! All words are little-endian `u32`. Positions in rings count bytes, wrap at 2^32 and are masked by the (power of
//! two) capacity. Each word that one side writes often has a cache line of its own.

/// Bytes before the first ring.
pub const HEADER_BYTES: usize = 16_384;

/// Request ring: how far the worker has read (worker writes).
pub const REQUEST_HEAD: usize = 64;
/// Request ring: how far the parent has written (parent writes).
pub const REQUEST_TAIL: usize = 128;
/// Row ring: how far the worker has published (worker writes).
pub const ROW_TAIL: usize = 192;
/// Row ring: how far the parent has read (parent writes).
pub const ROW_HEAD: usize = 256;
/// Text ring: how far the parent has read (parent writes). Its tail is in the records.
pub const TEXT_HEAD: usize = 260;
/// Bytes of messages that the parent has handed over (parent writes); see [`crate::talk`].
pub const MESSAGE_HEAD: usize = 264;
/// 1 while the worker sleeps and wants its doorbell rung (worker sets, either clears).
pub const WORKER_SLEEPS: usize = 320;
/// 1 while the parent sleeps and wants its doorbell rung (parent sets, either clears).
pub const PARENT_SLEEPS: usize = 384;
/// 1 while the parent waits for room in the request ring (parent sets, either clears).
pub const PARENT_WANTS_ROOM: usize = 388;
/// 1 while the worker waits for room in the row or text ring (worker sets, either clears).
pub const WORKER_WANTS_ROOM: usize = 448;
/// Microseconds that the worker may poll before it sleeps, 0 for none (parent writes).
pub const SPIN_MICROS: usize = 512;
/// What somebody listens to, [`MESSAGES`] and [`PROGRESS`] (parent writes). A worker that is not listened to says nothing.
pub const LISTENING: usize = 576;
/// First claim cell; see [`crate::claim`].
pub const CLAIMS: usize = 1024;
/// Bytes from one claim cell to the next.
pub const CLAIM_STRIDE: usize = 64;
/// Claim cells, and so chunks that one worker can hold.
pub const CLAIM_CELLS: usize = 192;

/// First cell of progress, behind the claims; see [`crate::talk`].
pub const PROGRESS_CELLS_AT: usize = CLAIMS + CLAIM_CELLS * CLAIM_STRIDE;
/// Bytes from one cell of progress to the next.
pub const PROGRESS_STRIDE: usize = 32;
/// Cells of progress. An item's is that of its index, so neighbours that run at the same time have one each.
pub const PROGRESS_CELLS: usize = 64;
const _: () = assert!(PROGRESS_CELLS_AT + PROGRESS_CELLS * PROGRESS_STRIDE <= HEADER_BYTES);

/// Bits of [`LISTENING`].
pub const MESSAGES: u32 = 1;
pub const PROGRESS: u32 = 2;

/// Bytes of a record's header in the row ring.
///
/// | offset | type | field |
/// | --- | --- | --- |
/// | 0 | u32 | bytes of the row that follow the header (padded to 8 in the ring) |
/// | 4 | u32 | bytes in the text ring |
/// | 8 | u32 | position of the first of them |
/// | 12 | u8 | kind, see [`crate::parent::RecordKind`] |
/// | 13 | u8 | claim cell |
/// | 14 | u8 | status of an outcome |
/// | 16 | u32 | item within the chunk |
/// | 20 | u32 | a number whose meaning depends on the kind |
pub const RECORD_BYTES: usize = 24;
/// Records begin at multiples of this. Where less than a header is left before the end, the next one is at the start.
pub const RECORD_ALIGN: usize = 8;
/// Set in the kind of a record that does not fit: its row, then its text, follow as a stream through the row ring, then
/// what is missing to [`RECORD_ALIGN`].
pub const STREAMED: u8 = 0x80;
/// The most bytes that row and text of a record can have together. An item has the same limit; both are held whole.
pub const MAX_RECORD_BYTES: u64 = 1 << 31;

/// The same for a message: it is held by whoever listens, not by the window of a call.
pub const MAX_MESSAGE_BYTES: u64 = 64 << 20;
/// Bytes of messages of one worker that wait for the parent's event loop. With so many, the worker waits in `emit()`; so
/// there are never more than these and one message.
pub const MESSAGE_WINDOW: u32 = 256 << 10;

/// Capacities of the three rings of a segment in bytes; each a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    pub request: usize,
    pub row: usize,
    pub text: usize,
}

impl Default for Capacities {
    /// 512 KiB out, 512 KiB + 128 KiB back: two chunks of two milliseconds of small records fit each way.
    fn default() -> Self {
        Self { request: 512 << 10, row: 512 << 10, text: 128 << 10 }
    }
}

impl Capacities {
    /// Bytes of the whole segment.
    #[must_use]
    pub const fn segment_bytes(&self) -> usize {
        HEADER_BYTES + self.request + self.row + self.text
    }

    /// Where the row ring begins.
    #[must_use]
    pub const fn row_at(&self) -> usize {
        HEADER_BYTES + self.request
    }

    /// Where the text ring begins.
    #[must_use]
    pub const fn text_at(&self) -> usize {
        HEADER_BYTES + self.request + self.row
    }

    /// Whether each is a power of two between 4 KiB and 1 GiB.
    #[must_use]
    pub fn are_valid(&self) -> bool {
        [self.request, self.row, self.text]
            .iter()
            .all(|&bytes| bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes))
    }
}
