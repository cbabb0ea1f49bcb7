//! Every key of the configuration as a flag.

use std::path::PathBuf;

use clap::Args;
use toml::{Table, Value};

/// Flags that beat the environment and the file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings (flag over TIDEMARK_* over file over default)")]
pub struct ConfigFlags {
    /// The controller's gRPC address, as in controller.example:7443.
    #[arg(long, value_name = "HOST:PORT")]
    controller: Option<String>,
    /// Join token; prefer --token-file, other users can read a process's arguments.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds the join token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Folder of identity, spool and status [default: the system's folder for such].
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// What the controller may have done to this host: observe, safe or full [default: observe].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Time between samples, 1s to 300s [default: 30s].
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// Time between light counts, 1s to 5s [default: by their cost].
    #[arg(long, value_name = "DURATION")]
    light_interval: Option<String>,
    /// Network namespaces: own, all, or names separated by commas [default: own].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// The dynamic ports, as in 49152-65535, where the system does not tell [default: ask the system].
    #[arg(long, value_name = "PORTS")]
    dynamic_range: Option<String>,
    /// A label of this host, as in site=berlin; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    labels: Vec<(String, String)>,
    /// Connections to count by name, as in smtp=25,465,587; may be repeated [default: smtp, sql, ldap, http].
    #[arg(long = "watch-group", value_name = "NAME=PORTS", value_parser = watch_group)]
    watch_groups: Vec<(String, Vec<u16>)>,
    /// Processes named per port space, 1 to 64 [default: 10].
    #[arg(long, value_name = "COUNT")]
    top_owners: Option<i64>,
    /// Remote endpoints named per port space, 1 to 64 [default: 10].
    #[arg(long, value_name = "COUNT")]
    top_destinations: Option<i64>,
    /// Whether to probe what applications would meet [default: true].
    #[arg(long, value_name = "BOOL")]
    probes: Option<bool>,
    /// Time between probes, 15s to 1h [default: 30s].
    #[arg(long, value_name = "DURATION")]
    probe_interval: Option<String>,
    /// How long a stop may take, 1s to 60s [default: 5s].
    #[arg(long, value_name = "DURATION")]
    drain_timeout: Option<String>,
    /// Time between two readings of the host's configuration, 1s to 24h, or 0 for none [default: 15m].
    #[arg(long, value_name = "DURATION")]
    audit_interval: Option<String>,
    /// How long a new version of the agent may take to be healthy, 1s to 1h [default: 11m].
    #[arg(long, value_name = "DURATION")]
    upgrades_grace: Option<String>,
    /// Most bytes of the spool [default: 268435456].
    #[arg(long, value_name = "BYTES")]
    spool_bytes_max: Option<i64>,
    /// Oldest sample kept, 1h to 90d [default: 7d].
    #[arg(long, value_name = "DURATION")]
    spool_age_max: Option<String>,
    /// Most percent of the file system for the spool, 1 to 50 [default: 5].
    #[arg(long, value_name = "PERCENT")]
    spool_disk_percent_max: Option<i64>,
    /// Log filter: error, warn, info, debug, trace or target=level pairs [default: info].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Form of log lines: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ConfigFlags {
    /// The flags that were given, as the file would say them.
    #[must_use]
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let texts = [
            ("controller", self.controller.clone()),
            ("token", self.token.clone()),
            ("token_file", path(&self.token_file)),
            ("data_dir", path(&self.data_dir)),
            ("profile", self.profile.clone()),
            ("interval", self.interval.clone()),
            ("light_interval", self.light_interval.clone()),
            ("dynamic_range", self.dynamic_range.clone()),
            ("probe_interval", self.probe_interval.clone()),
            ("drain_timeout", self.drain_timeout.clone()),
            ("log", self.log.clone()),
            ("log_format", self.log_format.clone()),
        ];
        for (key, text) in texts {
            insert(&mut table, key, text);
        }
        insert(&mut table, "top_owners", self.top_owners);
        insert(&mut table, "top_destinations", self.top_destinations);
        insert(&mut table, "probes", self.probes);
        insert(&mut table, "namespaces", self.namespaces_value());
        let labels: Table = self
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect();
        insert(&mut table, "labels", some_unless(labels.is_empty(), labels));
        let groups: Vec<Value> = self.watch_groups.iter().map(group_value).collect();
        insert(
            &mut table,
            "watch_groups",
            some_unless(groups.is_empty(), groups),
        );
        let mut audit = Table::new();
        insert(&mut audit, "interval", self.audit_interval.clone());
        insert(&mut table, "audit", some_unless(audit.is_empty(), audit));
        let mut upgrades = Table::new();
        insert(&mut upgrades, "grace", self.upgrades_grace.clone());
        insert(
            &mut table,
            "upgrades",
            some_unless(upgrades.is_empty(), upgrades),
        );
        let mut spool = Table::new();
        insert(&mut spool, "bytes_max", self.spool_bytes_max);
        insert(&mut spool, "age_max", self.spool_age_max.clone());
        insert(&mut spool, "disk_percent_max", self.spool_disk_percent_max);
        insert(&mut table, "spool", some_unless(spool.is_empty(), spool));
        table
    }

    fn namespaces_value(&self) -> Option<Value> {
        match self.namespaces.as_slice() {
            [] => None,
            [one] => Some(Value::from(one.as_str())),
            many => Some(Value::from(many.to_vec())),
        }
    }
}

fn insert(table: &mut Table, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        table.insert(key.to_owned(), value.into());
    }
}

fn some_unless<T>(is_empty: bool, value: T) -> Option<T> {
    (!is_empty).then_some(value)
}

fn group_value((name, ports): &(String, Vec<u16>)) -> Value {
    let mut group = Table::new();
    let ports: Vec<i64> = ports.iter().map(|port| i64::from(*port)).collect();
    insert(&mut group, "name", Some(name.as_str()));
    insert(&mut group, "remote_ports", Some(ports));
    Value::Table(group)
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write key=value, as in site=berlin".to_owned())
}

fn watch_group(text: &str) -> Result<(String, Vec<u16>), String> {
    let advice = || "write name=ports, as in smtp=25,465,587".to_owned();
    let (name, ports) = text.split_once('=').ok_or_else(advice)?;
    let ports: Result<Vec<u16>, _> = ports.split(',').map(|port| port.trim().parse()).collect();
    Ok((name.to_owned(), ports.map_err(|_| advice())?))
}
