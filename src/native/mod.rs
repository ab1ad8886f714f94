//! Operations that run on Rust threads. Plain Rust, nothing of Node: an [`Operation`] is a pipe of steps, each of which
//! makes a [`Value`] of a [`Value`]. JavaScript says in JSON which steps ([`spec`]), and has checked that they fit.

mod array;
mod codec;
mod digest;
mod digest_file;
mod failure;
#[cfg(target_arch = "x86_64")]
mod sha256_pair;
mod spec;
#[cfg(feature = "text")]
mod text;
pub mod threads;
pub mod transferred;
mod value;

pub use failure::Failure;
pub use value::{Array, Output, Value};

use std::panic::AssertUnwindSafe;

/// One step. It is called from many threads at once, and keeps nothing from one item to the next.
pub trait Step: Send + Sync + 'static {
    /// What becomes of the value, or why nothing does.
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure>;

    /// How long a text it makes of a value, in units, where that is known before: what no string can hold is not made.
    fn units(&self, _value: &Value<'_>) -> Option<u64> {
        None
    }

    /// Whether two values are done faster together on one thread than one after the other.
    fn likes_pairs(&self) -> bool {
        false
    }

    /// Whether its result can take the place of its item, which is a typed array.
    fn changes(&self) -> bool {
        false
    }

    /// Makes the result of the typed array with this code where its elements are. `false`: it cannot, and has not.
    fn change(&self, _code: u8, _elements: &mut [u8]) -> bool {
        false
    }

    /// What becomes of two values, each for itself.
    fn run_pair<'a>(&self, values: [Value<'a>; 2]) -> [Result<Value<'a>, Failure>; 2] {
        values.map(|value| self.run(value))
    }
}

/// What runs for each item of a call.
pub struct Operation {
    steps: Vec<Box<dyn Step>>,
    limits: Limits,
}

/// What JavaScript can hold: bytes of a Buffer, units of UTF-16 of a string.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: u64,
    pub units: u64,
}

impl Operation {
    /// The operation that a JSON text describes.
    pub fn new(json: &str, limits: Limits) -> Result<Self, Failure> {
        let steps: Vec<spec::StepSpec> =
            serde_json::from_str(json).map_err(|error| Failure::Internal(format!("no operation: {error}")))?;
        let steps = steps.into_iter().map(spec::StepSpec::build).collect::<Result<_, _>>()?;
        threads::prepare();
        Ok(Self { steps, limits })
    }

    /// Takes one item through all steps. A panic is this item's failure and no more: no step holds anything that it could
    /// leave half done.
    pub fn run(&self, item: Value<'_>) -> Result<Output, Failure> {
        let all = || self.through(item)?.into_owned().within(self.limits);
        std::panic::catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    }

    fn through<'a>(&self, item: Value<'a>) -> Result<Value<'a>, Failure> {
        let Some((last, before)) = self.steps.split_last() else { return Ok(item) };
        let value = before.iter().try_fold(item, |value, step| step.run(value))?;
        let limit = self.limits.units;
        if last.units(&value).is_some_and(|units| units > limit) {
            return Err(Failure::TooLong { limit });
        }
        last.run(value)
    }

    /// The same on this thread alone, without waiting for any other.
    pub fn run_alone(&self, item: Value<'_>) -> Result<Output, Failure> {
        array::alone(|| self.run(item))
    }

    /// Whether items are given better two at a time. A pipe takes each alone: its steps differ in what they like.
    #[must_use]
    pub fn likes_pairs(&self) -> bool {
        matches!(self.steps.as_slice(), [step] if step.likes_pairs())
    }

    /// Whether a typed array can become its own result. Not in a pipe, whose next step would take it from there.
    #[must_use]
    pub fn changes(&self) -> bool {
        matches!(self.steps.as_slice(), [step] if step.changes())
    }

    /// Makes the result of a typed array, that with this code, where its elements are. `Ok(false)`: nothing was done.
    pub fn change(&self, code: u8, elements: &mut [u8]) -> Result<bool, Failure> {
        let [step] = self.steps.as_slice() else { return Ok(false) };
        let change = || step.change(code, elements);
        std::panic::catch_unwind(AssertUnwindSafe(change)).map_err(|panic| panicked(panic.as_ref()))
    }

    /// Takes two items at once. Only for what [likes pairs](Self::likes_pairs).
    pub fn run_pair(&self, items: [Value<'_>; 2]) -> [Result<Output, Failure>; 2] {
        let [step] = self.steps.as_slice() else { return items.map(|item| self.run(item)) };
        let both = || step.run_pair(items).map(|value| value.map(Value::into_owned));
        std::panic::catch_unwind(AssertUnwindSafe(both))
            .unwrap_or_else(|panic| [(); 2].map(|()| Err(panicked(panic.as_ref()))))
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::Internal(format!("a panic in native code: {}", panic_text(panic)))
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 8, units: 4 };

    struct Panics;

    impl Step for Panics {
        fn run<'a>(&self, _: Value<'a>) -> Result<Value<'a>, Failure> {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panic_is_a_failure_of_its_item() {
        let operation = Operation { steps: vec![Box::new(Panics)], limits: LIMITS };
        let failure = operation.run(Value::Null).unwrap_err();
        assert_eq!(failure.to_string(), "a panic in native code: on purpose");
    }

    #[test]
    fn alone_it_waits_for_no_thread() {
        const ALL: Limits = Limits { bytes: u64::MAX, units: u64::MAX };
        let numbers: Vec<f64> = (0..300_000u32).map(|at| f64::from(at * 7919 % 300_000)).collect();
        let array = || Array::F64(numbers.as_slice().into());
        let several = || Value::Arrays(vec![array(), array()]);
        let kernels = [
            (r#"{"name":"sort"}"#, false),
            (r#"{"name":"argsort"}"#, false),
            (r#"{"name":"sum"}"#, false),
            (r#"{"name":"mean"}"#, false),
            (r#"{"name":"variance","ddof":1}"#, false),
            (r#"{"name":"minmax"}"#, false),
            (r#"{"name":"histogram","bins":7,"min":null,"max":null}"#, false),
            (r#"{"name":"quantiles","probabilities":[0,0.3]}"#, false),
            (r#"{"name":"cumsum"}"#, false),
            (r#"{"name":"dot"}"#, true),
        ]
        .map(|(kernel, both)| {
            let operation = Operation::new(&format!(r#"[{{"op":"array","kernel":{kernel}}}]"#), ALL).unwrap();
            let expected = operation.run(if both { several() } else { Value::Array(array()) }).unwrap();
            (kernel, both, operation, expected)
        });
        // Every thread waits for what comes only when all is done.
        let threads = rayon::current_num_threads();
        let (busy, (started, start)) = (std::sync::Arc::new(std::sync::Mutex::new(())), std::sync::mpsc::channel());
        let done = busy.lock().unwrap();
        for _ in 0..threads {
            let (busy, started) = (busy.clone(), started.clone());
            rayon::spawn(move || {
                started.send(()).unwrap();
                drop(busy.lock());
            });
        }
        for _ in 0..threads {
            start.recv().unwrap();
        }
        for (kernel, both, operation, expected) in kernels {
            let found = operation.run_alone(if both { several() } else { Value::Array(array()) }).unwrap();
            assert_eq!(found, expected, "{kernel}");
        }
        drop(done);
    }

    #[test]
    fn what_javascript_cannot_hold_is_a_failure() {
        let fits = |value: Value<'static>| match value.within(LIMITS) {
            Ok(_) => Ok(()),
            Err(Failure::TooLarge { limit } | Failure::TooLong { limit }) => Err(limit),
            Err(other) => panic!("{other}"),
        };
        // In bytes it is longer than in units.
        for text in ["", "abcd", "äöüß", "💡💡"] {
            assert_eq!(fits(text.to_owned().into()), Ok(()), "{text}");
            assert_eq!(fits(format!("{text}abcde").into()), Err(4), "{text}");
            assert_eq!(fits(Value::List(vec![Value::Null, format!("{text}💡💡💡").into()])), Err(4), "{text}");
        }
        assert_eq!((fits(vec![0; 8].into()), fits(vec![0; 9].into())), (Ok(()), Err(8)));
        assert_eq!(fits(Value::Array(Array::F64(vec![0.0; 2].into()))), Err(8));
        assert_eq!(fits(Value::Number(0.0)), Ok(()));
    }

    #[test]
    fn what_no_string_can_hold_is_not_even_made() {
        struct Twice;
        impl Step for Twice {
            fn run<'a>(&self, _: Value<'a>) -> Result<Value<'a>, Failure> {
                panic!("it was made");
            }

            fn units(&self, value: &Value<'_>) -> Option<u64> {
                value.byte_length().map(|bytes| bytes as u64 * 2)
            }
        }
        let operation = Operation { steps: vec![Box::new(Twice)], limits: LIMITS };
        assert!(matches!(operation.run(vec![0; 3].into()), Err(Failure::TooLong { limit: 4 })));
        assert!(matches!(operation.run(vec![0; 2].into()), Err(Failure::Internal(_))), "it fits");
        let run = |json: &str, bytes| Operation::new(json, LIMITS).unwrap().run(vec![0; bytes].into());
        for (json, most) in [(r#"[{"op":"hex"}]"#, 2), (r#"[{"op":"base64","alphabet":"standard"}]"#, 3)] {
            assert!(run(json, most).is_ok(), "{json}");
            assert!(matches!(run(json, most + 1), Err(Failure::TooLong { limit: 4 })), "{json}");
        }
        // Between two steps it may be longer.
        let digest = r#"[{"op":"hex"},{"op":"digest","algorithm":"crc32","encoding":"buffer"}]"#;
        assert!(run(digest, 99).is_ok());
    }

    #[test]
    fn nonsense_is_no_operation() {
        for json in ["", "{}", "[{}]", r#"[{"op":"unknown"}]"#] {
            assert!(matches!(Operation::new(json, LIMITS), Err(Failure::Internal(_))), "{json}");
        }
    }
}
