//! The controller's figures about itself, as `/metrics` shows them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::metrics::{AsyncInstrumentBuilder, Meter, ObservableCounter, ObservableGauge};
use tidemark_model::view::BudgetCounts;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])* $kind:ident $field:ident = $name:literal;)*) => {
        /// Every figure, by its name in the exposition.
        #[derive(Debug, Default)]
        pub struct Metrics { $($(#[doc = $help])* pub $field: $kind,)* }

        impl Metrics {
            /// The exposition in Prometheus' text format.
            #[must_use]
            pub fn exposition(&self) -> String {
                let mut text = String::new();
                $(write_metric(&mut text, $name, concat!($($help),*).trim(), $kind::TYPE, self.$field.get());)*
                text
            }

            /// Shows every figure to OpenTelemetry, under the same name, whenever it asks.
            pub fn observe(self: &Arc<Self>, meter: &Meter) {
                $({
                    let metrics = Arc::clone(self);
                    $kind::instrument(meter, $name)
                        .with_description(concat!($($help),*).trim())
                        .with_callback(move |observer| observer.observe(metrics.$field.get(), &[]))
                        .build();
                })*
            }
        }
    };
}

impl Counter {
    const TYPE: &'static str = "counter";

    fn instrument<'a>(
        meter: &'a Meter,
        name: &'static str,
    ) -> AsyncInstrumentBuilder<'a, ObservableCounter<u64>, u64> {
        meter.u64_observable_counter(name)
    }
}

impl Gauge {
    const TYPE: &'static str = "gauge";

    fn instrument<'a>(
        meter: &'a Meter,
        name: &'static str,
    ) -> AsyncInstrumentBuilder<'a, ObservableGauge<u64>, u64> {
        meter.u64_observable_gauge(name)
    }
}

fn write_metric(text: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    // Writing to a String cannot fail.
    writeln!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
    )
    .ok();
}

metrics! {
    /// Agents' connections refused because too many were open, or waited for their handshake.
    Counter connections_refused = "tidemark_connections_refused_total";
    /// Connections ended for newcomers: without a certificate, or to the API, of the network that had most; of hosts that had too many.
    Counter connections_displaced = "tidemark_connections_displaced_total";
    /// Connections without a certificate that took longer, or sent more, than an enrolment does.
    Counter connections_overdrawn = "tidemark_connections_overdrawn_total";
    /// TLS handshakes that failed or took too long.
    Counter handshakes_failed = "tidemark_tls_handshakes_failed_total";
    /// Enrolments granted.
    Counter enrolments = "tidemark_enrolments_total";
    /// Enrolments and renewals refused.
    Counter enrolments_refused = "tidemark_enrolments_refused_total";
    /// Certificates renewed.
    Counter renewals = "tidemark_certificate_renewals_total";
    /// Controllers of this database that are there, this one among them; 0 on SQLite, where there is no other.
    Gauge controllers_seen = "tidemark_controllers";
    /// Hosts that are connected to other controllers of this database, as those told last.
    Gauge sessions_elsewhere = "tidemark_sessions_elsewhere";
    /// How far this machine's clock and the database's are apart, in milliseconds; 0 on SQLite.
    Gauge clock_apart_ms = "tidemark_database_clock_apart_milliseconds";
    /// Exchanges with other controllers about hosts that failed.
    Counter exchanges_failed = "tidemark_controller_exchanges_failed_total";
    /// Sessions opened.
    Counter sessions_opened = "tidemark_sessions_opened_total";
    /// Sessions open.
    Gauge sessions = "tidemark_sessions";
    /// Frames refused because they were malformed or out of limits.
    Counter frames_refused = "tidemark_frames_refused_total";
    /// Records durable.
    Counter records_stored = "tidemark_records_stored_total";
    /// Records that came again and were not stored twice.
    Counter records_duplicate = "tidemark_records_duplicate_total";
    /// Records lost for good, as agents or gaps in their sequence say.
    Counter records_dropped = "tidemark_records_dropped_total";
    /// Events of hosts durable, each record of a host's log once.
    Counter events_stored = "tidemark_events_stored_total";
    /// Records of hosts' logs that were told again, as after a restart of an agent, and not stored twice.
    Counter events_duplicate = "tidemark_events_duplicate_total";
    /// Points durable.
    Counter points_stored = "tidemark_points_stored_total";
    /// Group commits.
    Counter commits = "tidemark_commits_total";
    /// Group commits that failed and were tried again.
    Counter commits_failed = "tidemark_commits_failed_total";
    /// Time of the last group commit in microseconds.
    Gauge commit_us = "tidemark_commit_last_microseconds";
    /// Whether the database took the last commit (1) or not (0).
    Gauge database_ready = "tidemark_database_ready";
    /// Names of processes, services and destinations that did not fit a host's dictionary.
    Counter entities_refused = "tidemark_entities_refused_total";
    /// Notices lost because too many came at once.
    Counter notices_dropped = "tidemark_notices_dropped_total";
    /// Entries of the audit log, as of the last look.
    Gauge audit_log_entries = "tidemark_audit_log_entries";
    /// Whether the audit log is not as it was written (1) or is (0).
    Gauge audit_log_broken = "tidemark_audit_log_broken";
    /// Records of what was refused or changed nothing that the audit log did not take.
    Counter audit_log_failed = "tidemark_audit_log_records_failed_total";
    /// Entries of the audit log that were exported.
    Counter audit_log_exported = "tidemark_audit_log_exported_total";
    /// Exports of the audit log that failed and were tried again.
    Counter audit_log_export_failed = "tidemark_audit_log_export_failures_total";
    /// Entries of the audit log that wait for the file of its export.
    Gauge audit_log_file_lag = "tidemark_audit_log_file_lag_entries";
    /// Entries of the audit log that wait for syslog.
    Gauge audit_log_syslog_lag = "tidemark_audit_log_syslog_lag_entries";
    /// Hosts that hold a signed checkpoint of the audit log.
    Gauge audit_log_witnesses = "tidemark_audit_log_witnesses";
    /// Hosts whose checkpoint contradicts the audit log.
    Gauge audit_log_contradictions = "tidemark_audit_log_contradictions";
    /// Incidents opened.
    Counter incidents_opened = "tidemark_incidents_opened_total";
    /// Incidents opened again because their problem came back.
    Counter incidents_reopened = "tidemark_incidents_reopened_total";
    /// Incidents that ended.
    Counter incidents_resolved = "tidemark_incidents_resolved_total";
    /// Incidents of severity info that are not over.
    Gauge incidents_info = "tidemark_incidents_info";
    /// Incidents of severity warning that are not over.
    Gauge incidents_warning = "tidemark_incidents_warning";
    /// Incidents of severity critical that are not over.
    Gauge incidents_critical = "tidemark_incidents_critical";
    /// Incidents that are not over and that a maintenance window keeps from receivers.
    Gauge incidents_suppressed = "tidemark_incidents_suppressed";
    /// Time of the last look at all problems in microseconds.
    Gauge incident_sweep_us = "tidemark_incident_sweep_last_microseconds";
    /// Looks at all problems that failed and were tried again.
    Counter incident_sweeps_failed = "tidemark_incident_sweeps_failed_total";
    /// Budgets that hold.
    Gauge budgets = "tidemark_budgets";
    /// Port spaces of hosts within a budget, each once a budget.
    Gauge budgets_within = "tidemark_budget_spaces_within";
    /// Port spaces of hosts over a budget, not yet for as long as it allows.
    Gauge budgets_over = "tidemark_budget_spaces_over";
    /// Port spaces of hosts over a budget for longer than it allows.
    Gauge budgets_exceeded = "tidemark_budget_spaces_exceeded";
    /// Port spaces of hosts of which nobody can tell how they stand to a budget.
    Gauge budgets_unknown = "tidemark_budget_spaces_unknown";
    /// Looks at all budgets that failed and were tried again.
    Counter budget_sweeps_failed = "tidemark_budget_sweeps_failed_total";
    /// Messages on their way to receivers.
    Gauge notifications_pending = "tidemark_notifications_pending";
    /// Messages delivered.
    Counter notifications_delivered = "tidemark_notifications_delivered_total";
    /// Tries to deliver a message that failed.
    Counter notification_tries_failed = "tidemark_notification_tries_failed_total";
    /// Messages given up.
    Counter notifications_given_up = "tidemark_notifications_given_up_total";
    /// Actions given to sessions.
    Counter actions_sent = "tidemark_actions_sent_total";
    /// Actions put back into the queue because a session ended before the host had said that it has them.
    Counter actions_put_back = "tidemark_actions_put_back_total";
    /// Standing policies that hold and are not disabled.
    Gauge policies = "tidemark_policies";
    /// Hosts on which a policy acts, each once a policy.
    Gauge policies_acting = "tidemark_policy_hosts_acting";
    /// Hosts on which a policy gave up and its condition still holds, each once a policy.
    Gauge policies_to_look_at = "tidemark_policy_hosts_escalated";
    /// Times that a policy began to act on a host.
    Counter policies_fired = "tidemark_policy_firings_total";
    /// Times that a policy gave up on a host, so that somebody must look.
    Counter policies_escalated = "tidemark_policy_escalations_total";
    /// Looks at all policies that failed and were tried again.
    Counter policy_sweeps_failed = "tidemark_policy_sweeps_failed_total";
    /// Maintenance runs that have not ended.
    Gauge runs_open = "tidemark_runs_open";
    /// Actions that maintenance runs asked for.
    Counter run_actions = "tidemark_run_actions_total";
    /// Roll-outs of releases that are not over.
    Gauge upgrades_open = "tidemark_upgrades_open";
    /// Roll-outs that halted because hosts failed.
    Counter upgrades_halted = "tidemark_upgrades_halted_total";
    /// Pieces of releases that hosts were sent.
    Counter release_pieces_sent = "tidemark_release_pieces_sent_total";
    /// Whether every action is stopped (1) or not (0).
    Gauge lockdown = "tidemark_lockdown";
    /// Whether news of other controllers are heard (1) or only the tables are looked at (0).
    Gauge news_heard = "tidemark_news_heard";
    /// Whether this controller leads (1) or not (0).
    Gauge leads = "tidemark_controller_leader";
    /// Term of whichever controller leads, as of the last look.
    Gauge lease_epoch = "tidemark_controller_lease_epoch";
    /// Writes of this controller that were refused because another one leads.
    Counter led_writes_refused = "tidemark_controller_led_writes_refused_total";
    /// Requests that an OpenTelemetry collector took.
    Counter otlp_exports = "tidemark_otlp_exports_total";
    /// Requests that did not reach an OpenTelemetry collector or that it refused.
    Counter otlp_exports_failed = "tidemark_otlp_export_failures_total";
    /// Spans that an OpenTelemetry collector took.
    Counter otlp_spans_sent = "tidemark_otlp_spans_sent_total";
    /// Spans dropped because too many waited for an OpenTelemetry collector, or it did not take them.
    Counter otlp_spans_dropped = "tidemark_otlp_spans_dropped_total";
    /// Live views that were too slow and had to start over.
    Counter live_views_lagged = "tidemark_live_views_lagged_total";
}

impl Metrics {
    /// Shows how many port spaces stand how to budgets.
    pub fn budgets_of(&self, counts: BudgetCounts) {
        self.budgets_within.set(counts.within);
        self.budgets_over.set(counts.over);
        self.budgets_exceeded.set(counts.exceeded);
        self.budgets_unknown.set(counts.unknown);
    }

    /// Shows how many incidents are not over, by severity from the least.
    pub fn incidents_of(&self, [info, warning, critical]: [u64; 3]) {
        self.incidents_info.set(info);
        self.incidents_warning.set(warning);
        self.incidents_critical.set(critical);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_shown_with_its_help_and_type() {
        let metrics = Metrics::default();
        metrics.enrolments.add(3);
        metrics.sessions.set(2);
        let text = metrics.exposition();
        assert!(text.contains("# HELP tidemark_enrolments_total Enrolments granted.\n# TYPE tidemark_enrolments_total counter\ntidemark_enrolments_total 3\n"), "{text}");
        assert!(
            text.contains("# TYPE tidemark_sessions gauge\ntidemark_sessions 2\n"),
            "{text}"
        );
    }
}
