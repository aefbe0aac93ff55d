//! Rebuilds the binary when what it embeds changes.

fn main() {
    for directory in ["../elements", "lib", "shims"] {
        println!("cargo::rerun-if-changed={directory}");
    }
}
