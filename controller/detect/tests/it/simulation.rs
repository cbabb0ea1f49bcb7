//! Hosts made of numbers: a workload, a leak and TIME_WAIT, sampled at any interval. Deterministic by its seed.

use std::net::SocketAddr;

use tidemark_detect::{
    DestinationReading, DetectorSettings, Observation, OwnerReading, SpaceDetector,
};
use tidemark_model::Timestamp;
use tidemark_model::forecast::{Forecast, Road};

/// Midnight of a Monday.
pub const START_MS: i64 = 1_767_571_200_000;

/// SplitMix64 (Steele, Lea and Flood 2014): enough randomness for workloads.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal, by the sum of twelve uniforms.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// What a host holds at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Ports of `worker`, the honest process.
    pub worker: f64,
    /// Ports of `leaky-app`.
    pub leaked: f64,
    /// Whether those are visible as bound sockets with an owner, or only as handles of the process.
    pub hidden: bool,
    /// Ports of TIME_WAIT towards the one destination.
    pub time_wait: f64,
}

/// One host and its detector.
pub struct Host {
    pub detector: SpaceDetector,
    pub capacity: u32,
    pub booted_at: Timestamp,
    pub leaky_incarnation: i64,
}

impl Host {
    pub fn new(capacity: u32) -> Self {
        Self {
            detector: SpaceDetector::new(DetectorSettings::linux()),
            capacity,
            booted_at: Timestamp::from_unix_ms(START_MS - 3_600_000),
            leaky_incarnation: 1,
        }
    }

    /// Feeds one reading taken `seconds` after the start.
    pub fn feed(&mut self, seconds: f64, load: &Load) {
        let ports = |value: f64| value.round().max(0.0) as u32;
        let hidden = if load.hidden { 0 } else { ports(load.leaked) };
        let owners = [
            OwnerReading {
                name: "worker",
                incarnation: Some(7),
                ports: ports(load.worker),
                handles: Some(100 + ports(load.worker)),
            },
            OwnerReading {
                name: "leaky-app",
                incarnation: Some(self.leaky_incarnation),
                ports: hidden + 1,
                handles: Some(400 + ports(load.leaked)),
            },
        ];
        let destinations = [DestinationReading {
            remote: SocketAddr::from(([10, 0, 0, 9], 1433)),
            ports: ports(load.time_wait),
            time_wait: ports(load.time_wait),
        }];
        let strong = (ports(load.worker) + ports(load.leaked)).min(self.capacity);
        self.detector.observe(&Observation {
            at: at(seconds),
            booted_at: self.booted_at,
            capacity: self.capacity,
            in_use: (strong + ports(load.time_wait)).min(self.capacity),
            strong,
            bound: (!load.hidden).then_some(hidden),
            peak: None,
            opens_milli_per_s: None,
            exhaustion_events: 0,
            owners: &owners,
            unlisted_ports_max: 0,
            destinations: &destinations,
        });
    }

    pub fn forecast(&self, seconds: f64) -> Forecast {
        self.detector.forecast(at(seconds))
    }
}

pub fn at(seconds: f64) -> Timestamp {
    Timestamp::from_unix_ms(START_MS + (seconds * 1_000.0) as i64)
}

/// Seconds until the forecast's date; `None` without one.
pub fn eta_seconds(forecast: &Forecast, now_seconds: f64) -> Option<f64> {
    forecast
        .eta
        .map(|eta| eta.at.ms_since(at(now_seconds)) as f64 / 1_000.0)
}

/// Runs a workload that must never be given a date.
pub fn assert_no_alarm(
    mut host: Host,
    step_seconds: f64,
    steps: usize,
    mut load: impl FnMut(f64) -> Load,
) -> Host {
    for step in 0..steps {
        let seconds = step as f64 * step_seconds;
        host.feed(seconds, &load(seconds));
        let forecast = host.forecast(seconds);
        assert_eq!(
            forecast.eta, None,
            "false alarm after {seconds} s: {}",
            forecast.explanation
        );
    }
    host
}

/// Asserts a date on `road` within `tolerance` of the true rest.
pub fn assert_date(forecast: &Forecast, now: f64, truth: f64, (road, tolerance): (Road, f64)) {
    let rest = truth - now;
    let eta = eta_seconds(forecast, now);
    let Some(eta) = eta else {
        panic!(
            "no date {rest:.0} s before the end: {}",
            forecast.explanation
        );
    };
    assert!(
        (eta - rest).abs() <= tolerance * rest,
        "{eta:.0} s said, {rest:.0} s true: {}",
        forecast.explanation
    );
    assert_eq!(forecast.road, Some(road), "{}", forecast.explanation);
}
