//! The `trident` binary: allocator, parse, run, exit code.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arg = |name: &str, or: &str| std::env::args().skip_while(|a| a != name).nth(1).unwrap_or(or.into());
    let ms = |name: &str, or: &str| std::time::Duration::from_millis(arg(name, or).parse().unwrap());
    let mut o = trident::serve::Options {
        listen: vec![arg("--listen", "127.0.0.1:8080").parse().unwrap()],
        admin: None,
        workers: arg("--workers", "0").parse().unwrap(),
        drain_accept: ms("--drain-accept", "15000"),
        ..Default::default()
    };
    let t = ms("--timeouts", "5000");
    o.limits.head_timeout = t;
    o.limits.idle_timeout = t;
    o.limits.body_timeout = t;
    o.limits.write_timeout = t;
    if let Err(e) = trident::serve::run(&o, Default::default()) {
        tracing::error!("{e:#}");
        std::process::exit(1);
    }
}
