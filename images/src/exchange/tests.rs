//! Clients of others against a proxy that makes answers up.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Answers, Authority, Reply, Request, Server, Upstream, serve};
use crate::fetch::Proxies;

/// Answers with what was asked, and remembers it.
#[derive(Default)]
struct Echo(Mutex<Vec<Request>>);

impl Answers for Echo {
    fn answer(&self, request: &Request, reply: &mut Reply<'_>) -> io::Result<()> {
        self.0.lock().unwrap().push(request.clone());
        if request.url.ends_with("/none") {
            return reply.refuse(504, "not to be had");
        }
        let body = String::from_utf8_lossy(&request.body);
        let text = format!("{} {} {body}", request.method, request.url);
        // In chunks when it is long.
        let length = (text.len() < 1000).then_some(text.len() as u64);
        reply.head(200, &[("content-type", "text/x-echo")], length)?;
        for piece in text.as_bytes().chunks(700) {
            reply.piece(piece)?;
        }
        reply.end()
    }
}

struct Proxy {
    echo: Arc<Echo>,
    authority: Arc<Authority>,
    address: String,
    _server: Server,
}

fn proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (echo, authority) = (Arc::new(Echo::default()), Arc::new(Authority::new().unwrap()));
    let server = serve(listener, echo.clone(), authority.clone()).unwrap();
    Proxy { echo, authority, address, _server: server }
}

impl Proxy {
    fn client(&self, believed: bool) -> reqwest::blocking::Client {
        let address = format!("http://{}", self.address);
        let mut builder =
            reqwest::blocking::Client::builder().proxy(reqwest::Proxy::all(address).unwrap());
        if believed {
            let pem = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
            builder = builder.tls_certs_only([pem]);
        }
        builder.build().unwrap()
    }
}

#[test]
fn plain_and_secret_requests_are_answered() {
    let proxy = proxy();
    let client = proxy.client(true);
    for url in
        ["http://no.such.example/a?b=c", "https://no.such.example/x", "https://192.0.2.7:8443/y"]
    {
        let answer = client.get(url).send().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/x-echo");
        assert_eq!(answer.text().unwrap(), format!("GET {url} "));
    }
    let sent = "z".repeat(5000);
    let answer = client.post("https://no.such.example/p").body(sent.clone()).send().unwrap();
    assert_eq!(answer.text().unwrap(), format!("POST https://no.such.example/p {sent}"));
    let refused = client.get("http://no.such.example/none").send().unwrap();
    assert_eq!(refused.status(), 504);
    assert_eq!(refused.text().unwrap(), "not to be had\n");
    assert!(client.head("http://no.such.example/h").send().unwrap().text().unwrap().is_empty());
    assert_eq!(proxy.echo.0.lock().unwrap().len(), 6);
}

#[test]
fn nobody_believes_it_without_its_certificate() {
    let proxy = proxy();
    assert!(proxy.client(false).get("https://no.such.example/x").send().is_err());
    assert!(proxy.echo.0.lock().unwrap().is_empty());
}

/// What comes back on one connection.
fn raw(proxy: &Proxy, text: &str) -> String {
    let mut stream = TcpStream::connect(&proxy.address).unwrap();
    stream.write_all(text.as_bytes()).unwrap_or_default();
    stream.shutdown(std::net::Shutdown::Write).unwrap_or_default(); // It may have hung up already.
    let mut answer = String::new();
    // A connection that is cut says nothing more.
    let _cut = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn several_requests_go_over_one_connection_and_nonsense_ends_it() {
    let proxy = proxy();
    let two = "GET http://h/1 HTTP/1.1\r\nHost: h\r\n\r\nPOST http://h/2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nGET http://h/3 HTTP/1.1\r\n\r\n";
    let answer = raw(&proxy, two);
    for told in ["GET http://h/1 ", "POST http://h/2 abcde", "GET http://h/3 "] {
        assert!(answer.contains(told), "{answer}");
    }
    let waiting = "PUT http://h/4 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi";
    assert!(raw(&proxy, waiting).starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"));
    let plain_inside = "CONNECT h:80 HTTP/1.1\r\n\r\nGET /in HTTP/1.1\r\nHost: h\r\n\r\n";
    assert!(raw(&proxy, plain_inside).contains("GET http://h/in "));
    proxy.echo.0.lock().unwrap().clear();
    let long = format!("GET http://h/{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for bad in [
        "nonsense\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\nno header",
        "POST http://h/ HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        "POST http://h/ HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort",
        "POST http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        "CONNECT h:443 HTTP/1.1\r\n\r\n\x16\x03\x01\x00\x02no",
        long.as_str(),
    ] {
        let answer = raw(&proxy, bad);
        assert!(!answer.contains("200 OK"), "{bad}: {answer}");
    }
    assert!(proxy.echo.0.lock().unwrap().is_empty());
}

#[test]
fn what_is_passed_on_depends_on_nothing_that_the_client_has() {
    let proxy = proxy();
    let address = format!("http://{}", proxy.address);
    let proxies = Proxies { http: Some(address), ..Proxies::default() };
    let upstream = Upstream::new(&proxies).unwrap();
    let headers =
        [("if-modified-since", "today"), ("range", "bytes=1-2"), ("git-protocol", "version=2")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (url, body) = ("http://no.such.example/f".to_owned(), Vec::new());
    let request = Request { method: "GET".into(), url, headers, body };
    let mut answer = upstream.send(&request).unwrap();
    assert_eq!(answer.headers, [("content-type".to_owned(), "text/x-echo".to_owned())]);
    let mut text = String::new();
    answer.body.read_to_string(&mut text).unwrap();
    assert_eq!(text.len() as u64, answer.length.unwrap());
    let asked = proxy.echo.0.lock().unwrap()[0].clone();
    assert!(asked.header("git-protocol").is_some());
    assert!(asked.header("range").is_none() && asked.header("if-modified-since").is_none());
}
