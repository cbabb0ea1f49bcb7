//! What a restart of a service takes along, and whether it may be begun at all: nothing is stopped that cannot be started.

use std::io;

use windows_service::service::ServiceState;

use super::{control, refused};
use crate::remedy_facts::RemedyError;
use crate::windows::{registry_read, wine};
use crate::windows_data::cluster::Resource;
use crate::windows_data::service_control::{Needs, needs_in, stop_order};

const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";
/// There while the host is a node of a failover cluster.
const CLUSTER: &str = r"Cluster\Resources";
/// `SERVICE_DISABLED`, as `Start` has it.
const DISABLED: u32 = 4;

/// A restart before it is begun.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) state: ServiceState,
    /// Its process, when it has one that is its alone.
    pub(super) own_process: Option<u32>,
    /// What runs and depends on it, in the order in which it is stopped.
    pub(super) dependents: Vec<String>,
}

impl Plan {
    /// # Errors
    /// [`RemedyError`] when there is no such service, or it must not be begun.
    pub(super) fn of(name: &str) -> Result<Self, RemedyError> {
        let status = control::status(name).map_err(|error| refused(name, &error))?;
        let dependents = dependents(name).map_err(|error| refused(name, &error))?;
        let resources = cluster().map_err(|error| {
            RemedyError::Unsafe(format!(
                "whether {name} belongs to a failover cluster cannot be told: {error}"
            ))
        })?;
        for service in std::iter::once(name).chain(dependents.iter().map(String::as_str)) {
            check(service, &resources)?;
        }
        Ok(Self {
            name: name.to_owned(),
            state: status.current_state,
            own_process: control::own_process(name).map_err(|error| refused(name, &error))?,
            dependents,
        })
    }

    /// How a service stands at this moment.
    pub(super) fn state(name: &str) -> Result<ServiceState, RemedyError> {
        let status = control::status(name).map_err(|error| refused(name, &error))?;
        Ok(status.current_state)
    }
}

/// Whether a service may be stopped, because it can be started again and nobody else looks after it.
fn check(service: &str, resources: &[Resource]) -> Result<(), RemedyError> {
    if resources.iter().any(|resource| resource.is(service)) {
        return Err(RemedyError::Unsafe(format!(
            "{service} belongs to a failover cluster, which would take its end for a failure: take the role offline with the \
             cluster's own tools"
        )));
    }
    let start = registry_read::number(&format!(r"{SERVICES}\{service}"), "Start");
    match start {
        Ok(Some(DISABLED)) => Err(RemedyError::Unsafe(format!(
            "{service} is disabled, so that it could not be started again (1058): enable it first (`sc config {service} \
             start= demand`)"
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(RemedyError::Unsafe(format!(
            "whether {service} can be started again cannot be told: {error}"
        ))),
    }
}

/// What runs and depends on a service, directly or through others.
fn dependents(name: &str) -> io::Result<Vec<String>> {
    if wine::version().is_none() {
        return control::dependents(name);
    }
    // Wine's manager names none (`EnumDependentServicesW` is a stub there), but keeps what each service needs.
    let mut services = Vec::new();
    for service in registry_read::keys_below(SERVICES)? {
        let key = format!(r"{SERVICES}\{service}");
        let needs = registry_read::multi_text(&key, "DependOnService")?;
        services.push(Needs {
            needs: needs.map(|stored| needs_in(&stored)).unwrap_or_default(),
            name: service,
        });
    }
    let mut running = Vec::new();
    for service in stop_order(name, &services) {
        if control::status(&service)?.current_state != ServiceState::Stopped {
            running.push(service);
        }
    }
    Ok(running)
}

/// What the cluster looks after on this host; nothing on one that belongs to none.
fn cluster() -> io::Result<Vec<Resource>> {
    let ids = match registry_read::keys_below(CLUSTER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        ids => ids?,
    };
    let resource = |id: String| -> io::Result<Resource> {
        let key = format!(r"{CLUSTER}\{id}");
        let parameters = format!(r"{key}\Parameters");
        Ok(Resource {
            kind: registry_read::text(&key, "Type")?.unwrap_or_default(),
            service: registry_read::text(&parameters, "ServiceName")?,
            instance: registry_read::text(&parameters, "InstanceName")?,
        })
    };
    ids.into_iter().map(resource).collect()
}
