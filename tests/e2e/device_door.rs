//! The gateway's side towards devices: TLS with client certificates, and what a device, or somebody in its network, may not do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use mdfm_shared::wire::mqtt::{self, Connect};
use mdfm_tests::{Layout, Process, World, device_id, free_port, wait_for};

use crate::adapters::{address, all_kept, conformance, one_device};
use crate::{fresh_dir, image};

/// Writes an authority, and certificates of it with these common names, as PEM files.
fn certificates(dir: &Path, names: &[&str]) {
    let write = |name: &str, certificate: &rcgen::Certificate, key: &rcgen::KeyPair| {
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        crate::write_secret(&dir.join(format!("{name}.key")), &key.serialize_pem());
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write("authority", &authority.self_signed(&key).unwrap(), &key);
    let issuer = rcgen::Issuer::new(authority, key);
    for name in names {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, *name);
        write(name, &params.signed_by(&key, &issuer).unwrap(), &key);
    }
}

fn device(dir: &Path, broker: &str, certificate: &str) -> Process {
    let path = |name: &str| dir.join(name).display().to_string();
    let tls = ["--tls-authority", &path("authority.pem"), "--tls-certificate", &path(&format!("{certificate}.pem"))];
    let key = path(&format!("{certificate}.key"));
    let what = ["device", "--dir", &path("flash"), "--id", "DEV-1", "--broker", broker, "--boot-ms", "200"];
    let arguments =
        [&what[..], &tls, &["--tls-key", &key]].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    Process::start("mdfm-sim", &arguments, &dir.join("device.log")).unwrap()
}

#[test]
fn a_device_with_a_client_certificate_passes_the_suite_over_tls_and_one_with_anothers_does_not() {
    let dir = fresh_dir("device-tls");
    std::fs::create_dir_all(&dir).unwrap();
    certificates(&dir, &["gateway", "SN-1", "SN-2"]);
    let broker = format!("127.0.0.1:{}", free_port().unwrap());
    let path = |name: &str| dir.join(name).display().to_string();
    let config = one_device(
        &dir,
        &format!(
            "certificate = \"SN-1\"\n[device_tls]\nlisten = {broker:?}\ncertificate = {:?}\nkey = {:?}\nauthority = {:?}\nonly = true\n",
            path("gateway.pem"),
            path("gateway.key"),
            path("authority.pem")
        ),
    );
    let new = image(&dir, 1, 3_000_001);
    let right = device(&dir, &broker, "SN-1");
    all_kept(&config, &new, 13);
    assert!(TcpStream::connect(address(&config)).is_err(), "the port without encryption is closed");
    drop(right);
    let _other = device(&dir, &broker, "SN-2");
    let (findings, success) = conformance(&config, &image(&dir, 2, 300_000));
    assert!(!success && findings.iter().all(|(_, passed, _)| !passed), "{findings:#?}");
    std::fs::remove_dir_all(dir).unwrap();
}

/// A connection that has presented this id and secret, and the first answer's last byte: 0 if it was taken.
fn connect(address: &str, id: &str, secret: &str) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let connect = Connect {
        client_id: id.into(),
        clean_session: true,
        keep_alive_s: 10,
        will: None,
        username: Some(id.into()),
        password: Some(secret.into()),
    };
    stream.write_all(&connect.encode().unwrap()).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    (stream, connack[3])
}

/// Whether the other side closes the connection within ten seconds.
fn is_closed(mut stream: TcpStream) -> bool {
    let began = Instant::now();
    let mut buffer = [0; 1024];
    while began.elapsed() < Duration::from_secs(10) {
        if stream.read(&mut buffer).map_or(true, |n| n == 0) {
            return true;
        }
    }
    false
}

#[test]
fn att_14_a_device_speaks_for_itself_alone_and_strangers_for_nobody() {
    let dir = fresh_dir("device-door");
    let world = World::start(&dir, Layout { hospitals: 1, devices: 2, ..Layout::default() }).unwrap();
    let address = address(&dir.join("agent-001.toml"));
    let attached = || {
        wait_for("both devices to be attached", Duration::from_secs(40), || {
            // The agent may not listen yet.
            let Ok(status) = world.on_gateway(1, &["status", "--json"]) else { return Ok(None) };
            let status: serde_json::Value = serde_json::from_str(&status)?;
            Ok((status["devicesAttached"] == 2).then_some(()))
        })
        .unwrap();
    };
    attached();
    let (own, other) = (device_id(1, 1), device_id(1, 2));
    let secret = std::fs::read_to_string(dir.join(format!("{own}.secret"))).unwrap();
    let fault = br#"{"severity":"critical","code":"X-1","message":"made up"}"#;

    assert_eq!(connect(&address, &other, &secret).1, 4, "a secret opens its own device's door only");
    assert_eq!(connect(&address, "DEV-999-9", &secret).1, 4, "nobody of that name is configured");

    let (mut stream, code) = connect(&address, &own, &secret);
    assert_eq!(code, 0);
    // What others are told is not for it, whatever it asks for.
    let foreign = format!("mdfm-device/v1/{other}/command");
    for filter in [foreign.as_str(), "mdfm-device/v1/+/command", "#"] {
        let mut subscribe = vec![0, 7, 0, u8::try_from(filter.len()).unwrap()];
        subscribe.extend([filter.as_bytes(), &[1]].concat());
        stream.write_all(&[&[0x82, u8::try_from(subscribe.len()).unwrap()], &subscribe[..]].concat()).unwrap();
        let mut suback = [0; 5];
        stream.read_exact(&mut suback).unwrap();
        assert_eq!(suback, [0x90, 3, 0, 7, 0x80], "{filter}");
    }
    stream.write_all(&mqtt::publish(&format!("mdfm-device/v1/{other}/event"), fault)).unwrap();
    assert!(is_closed(stream), "who writes to a topic of another is shown out");

    for bytes in [
        mqtt::publish(&format!("mdfm-device/v1/{own}/command"), b"{}"),
        vec![0x30, 0xff, 0xff, 0x7f],
        vec![0x00, 0x00],
        vec![0x34, 5, 0, 1, b'a', 0, 1],
    ] {
        let (mut stream, _) = connect(&address, &own, &secret);
        stream.write_all(&bytes).unwrap();
        assert!(is_closed(stream), "{bytes:?}");
    }
    // A crowd that says nothing; the devices come back through it all the same.
    let silent: Vec<TcpStream> = (0..100).filter_map(|_| TcpStream::connect(&address).ok()).collect();
    attached();
    drop(silent);
    let logs = world.on_gateway(1, &["logs"]).unwrap();
    for told in ["not its own", "wrong secret", "gave itself orders"] {
        assert!(logs.contains(told), "{told} is recorded: {logs}");
    }
    assert!(!logs.contains("X-1"), "nobody heard the made-up fault: {logs}");
}
