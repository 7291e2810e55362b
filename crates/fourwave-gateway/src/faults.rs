//! `--fault`: faults between the tap and the engine, so that what is drawn is what the program
//! sends and sees.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fourwave::{Device, Stack, StackOptions};
use fourwave_fault::{FaultSpec, Faulty, Plan};

/// The faults of a running gateway. Cheap to clone.
#[derive(Clone)]
pub struct Faults(Arc<Faulty<Box<dyn Device>, Plan>>);

impl Faults {
    /// What each of them did so far: a line each, in the order in which they were given.
    pub fn report(&self) -> Vec<String> {
        self.0.inspect(Plan::report)
    }
}

/// Spawns a stack on `device`, behind faults if there are any. `note` hears of what they do to
/// the connection between two ends.
///
/// # Errors
/// The device's.
pub(crate) fn spawn(
    device: impl Device + 'static,
    options: StackOptions,
    specs: Vec<FaultSpec>,
    note: impl Fn((SocketAddr, SocketAddr), &str) + Send + 'static,
) -> io::Result<(Stack, Option<Faults>)> {
    if specs.is_empty() {
        return Ok((Stack::spawn(device, options)?, None));
    }
    // Other dice in each run.
    let seed = RandomState::new().hash_one(0);
    let plan = Plan::new(specs, seed, move |told| {
        let [program, peer] = told.ends;
        note((program, peer), &format!("--fault {}", told.text));
    });
    let device: Box<dyn Device> = Box::new(device);
    let faulty = Arc::new(Faulty::with_faults(device, plan));
    Ok((Stack::spawn(Arc::clone(&faulty), options)?, Some(Faults(faulty))))
}
