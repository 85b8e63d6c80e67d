//! x
mod config;
fn main() {
    let l = config::load(std::env::args().nth(1).as_deref().map(std::path::Path::new), config::Purpose::Check).unwrap();
    println!("{}", l.problems.render(false));
    println!("{:?}", l.config.plan);
}
