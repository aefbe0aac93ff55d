//! Hook trees: collection, order, environment.
