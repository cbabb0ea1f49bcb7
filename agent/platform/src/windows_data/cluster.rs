//! Resources of a failover cluster that are services of Windows, as the registry has them below `Cluster\Resources`.

/// A resource of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Its `Type`, as in `Generic Service`.
    pub kind: String,
    /// `Parameters\ServiceName` of a generic service.
    pub service: Option<String>,
    /// `Parameters\InstanceName` of SQL Server and its agent.
    pub instance: Option<String>,
}

/// Types of resources that stand for one service of a fixed name (Microsoft's list of resource types).
const FIXED: [(&str, &str); 4] = [
    ("Print Spooler", "Spooler"),
    ("DHCP Service", "DHCPServer"),
    ("WINS Service", "WINS"),
    ("DFS Replicated Folder", "DFSR"),
];
/// The instance of SQL Server that has no name of its own.
const DEFAULT_INSTANCE: &str = "MSSQLSERVER";

impl Resource {
    /// Whether this resource is the service of that name: the cluster takes its end for a failure, and moves it.
    #[must_use]
    pub fn is(&self, service: &str) -> bool {
        let alike = |name: &str| name.eq_ignore_ascii_case(service);
        if self.service.as_deref().is_some_and(alike) {
            return true;
        }
        if let Some((_, name)) = FIXED.iter().find(|(kind, _)| *kind == self.kind) {
            return alike(name);
        }
        let instance = self.instance.as_deref().unwrap_or(DEFAULT_INSTANCE);
        let is_default = instance.eq_ignore_ascii_case(DEFAULT_INSTANCE);
        match self.kind.as_str() {
            "SQL Server" if is_default => alike(DEFAULT_INSTANCE),
            "SQL Server" => alike(&format!("MSSQL${instance}")),
            "SQL Server Agent" if is_default => alike("SQLSERVERAGENT"),
            "SQL Server Agent" => alike(&format!("SQLAgent${instance}")),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: &str, service: Option<&str>, instance: Option<&str>) -> Resource {
        Resource {
            kind: kind.to_owned(),
            service: service.map(str::to_owned),
            instance: instance.map(str::to_owned),
        }
    }

    #[test]
    fn services_that_a_cluster_looks_after_are_known() {
        let generic = resource("Generic Service", Some("AppSvc"), None);
        assert!(generic.is("appsvc") && !generic.is("Other"));
        let sql = resource("SQL Server", None, Some("PROD"));
        assert!(sql.is("MSSQL$PROD") && !sql.is("MSSQLSERVER"));
        assert!(resource("SQL Server", None, None).is("MSSQLSERVER"));
        let agent = resource("SQL Server Agent", None, Some("MSSQLSERVER"));
        assert!(agent.is("SQLServerAgent") && !agent.is("MSSQLSERVER"));
        assert!(resource("Print Spooler", None, None).is("Spooler"));
        assert!(!resource("IP Address", None, None).is("MSSQLSERVER"));
    }
}
