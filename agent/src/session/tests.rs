//! What operators notice of a session: delivery, gaps, reconnects, certificates.
