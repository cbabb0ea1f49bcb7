//! What the agent asks of the operating system: socket tables, processes, port ranges, namespaces, probes.
