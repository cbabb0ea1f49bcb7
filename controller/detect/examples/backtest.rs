//! Replays the detection benchmark in lock step: samples and ticks on standard input, verdicts on standard output.
//!
//! `python3 replay.py --data SET --out PREDICTIONS -- target/release/examples/backtest`

use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

use serde::Deserialize;
use tidemark_detect::backtest::{Backtest, InventoryLine, SampleLine};
use tidemark_model::Timestamp;

#[derive(Deserialize)]
struct Inventory {
    inventory: InventoryLine,
}

#[derive(Deserialize)]
struct Tick {
    tick_unix_ms: i64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut backtest = Backtest::default();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut input = io::stdin().lock();
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.starts_with("{\"tick_unix_ms\"") {
            let tick: Tick = serde_json::from_str(&line)?;
            for verdict in backtest.tick(Timestamp::from_unix_ms(tick.tick_unix_ms)) {
                serde_json::to_writer(&mut output, &verdict)?;
                output.write_all(b"\n")?;
            }
            writeln!(output, "{{\"tick_done\":{}}}", tick.tick_unix_ms)?;
            output.flush()?;
            if let Ok(want) = std::env::var("EXPLAIN") {
                let (host, at) = want.split_once('@').unwrap_or((&want, "0"));
                if at == tick.tick_unix_ms.to_string() {
                    for l in backtest
                        .account(host, Timestamp::from_unix_ms(tick.tick_unix_ms))
                        .unwrap_or_default()
                    {
                        eprintln!("{l}");
                    }
                }
            }
        } else if line.starts_with("{\"inventory\"") {
            let known: Inventory = serde_json::from_str(&line)?;
            backtest.inventory(known.inventory);
        } else {
            let sample: SampleLine<'_> = serde_json::from_str(&line)?;
            backtest.sample(&sample);
        }
    }
}
