//! Link settings for the Node.js addon.

fn main() {
    napi_build::setup();
    // A user's own `Worker` unloads the addon when it ends, while our threads still run its code: keep it mapped.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
