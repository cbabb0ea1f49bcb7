//! Windows against all of tzdata.

#[cfg(test)]
mod zones;
