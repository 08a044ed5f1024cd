//! Response heads copied from common servers.

use super::case::{Case, cat, ok};

/// How to find the end of the body.
#[derive(Clone, Copy)]
enum Body {
    /// The head has a Content-Length, which is 13.
    Sized,
    Chunked,
    /// The body ends with the connection.
    Rest,
    /// There isn't any body.
    Nothing,
}
use Body::{Chunked, Nothing, Rest, Sized};

const BODY: &str = "<p>hello</p>\n";

struct Server {
    name: &'static str,
    status: u16,
    /// All lines of the head.
    head: &'static str,
    body: Body,
    /// Some of these lines, in the form that the service must return.
    lines: &'static [(&'static str, &'static str)],
}

const SERVERS: &[Server] = &[
    Server {
        name: "nginx, a file",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Server: nginx/1.26.1
Date: Tue, 04 Mar 2025 10:11:12 GMT
Content-Type: text/html; charset=utf-8
Content-Length: 13
Last-Modified: Mon, 03 Mar 2025 09:00:00 GMT
Connection: keep-alive
ETag: \"67c56f10-d\"
Accept-Ranges: bytes
",
        body: Sized,
        lines: &[("etag", "\"67c56f10-d\""), ("accept-ranges", "bytes")],
    },
    Server {
        name: "nginx, a proxied page",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Server: nginx
Date: Tue, 04 Mar 2025 10:11:12 GMT
Content-Type: text/html
Transfer-Encoding: chunked
Connection: keep-alive
Vary: Accept-Encoding
X-Upstream: 10.0.0.1:8080
",
        body: Chunked,
        lines: &[("vary", "Accept-Encoding"), ("x-upstream", "10.0.0.1:8080")],
    },
    Server {
        name: "nginx, a bad gateway",
        status: 502,
        head: "\
HTTP/1.1 502 Bad Gateway
Server: nginx/1.18.0 (Ubuntu)
Date: Tue, 04 Mar 2025 10:11:12 GMT
Content-Type: text/html
Content-Length: 13
Connection: keep-alive
",
        body: Sized,
        lines: &[("server", "nginx/1.18.0 (Ubuntu)")],
    },
    Server {
        name: "Apache, a file",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Date: Tue, 04 Mar 2025 10:11:12 GMT
Server: Apache/2.4.58 (Unix) OpenSSL/3.0.13
Upgrade: h2,h2c
Connection: Upgrade, Keep-Alive
Last-Modified: Mon, 03 Mar 2025 09:00:00 GMT
ETag: \"d-62f6c1a3b2c80\"
Accept-Ranges: bytes
Content-Length: 13
Keep-Alive: timeout=5, max=100
Content-Type: text/html
",
        body: Sized,
        lines: &[("upgrade", "h2,h2c"), ("keep-alive", "timeout=5, max=100")],
    },
    Server {
        name: "Apache, a moved page",
        status: 301,
        head: "\
HTTP/1.1 301 Moved Permanently
Date: Tue, 04 Mar 2025 10:11:12 GMT
Server: Apache
Location: https://www.example.test/
Content-Length: 13
Connection: close
Content-Type: text/html; charset=iso-8859-1
",
        body: Sized,
        lines: &[("location", "https://www.example.test/")],
    },
    Server {
        name: "IIS and ASP.NET",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Cache-Control: private
Content-Length: 13
Content-Type: text/html; charset=utf-8
Server: Microsoft-IIS/10.0
Set-Cookie: ASP.NET_SessionId=abcdefghijklmnop; path=/; HttpOnly; SameSite=Lax
X-AspNetMvc-Version: 5.2
X-Powered-By: ASP.NET
Date: Tue, 04 Mar 2025 10:11:12 GMT
",
        body: Sized,
        lines: &[("x-aspnetmvc-version", "5.2"), ("x-powered-by", "ASP.NET")],
    },
    Server {
        name: "HTTP.sys, a bad request",
        status: 400,
        head: "\
HTTP/1.1 400 Bad Request
Content-Type: text/html; charset=us-ascii
Server: Microsoft-HTTPAPI/2.0
Date: Tue, 04 Mar 2025 10:11:12 GMT
Connection: close
Content-Length: 13
",
        body: Sized,
        lines: &[("server", "Microsoft-HTTPAPI/2.0")],
    },
    Server {
        name: "a CDN, many lines",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Date: Tue, 04 Mar 2025 10:11:12 GMT
Content-Type: text/html; charset=utf-8
Transfer-Encoding: chunked
Connection: keep-alive
CF-Ray: 9200000000000000-AMS
CF-Cache-Status: DYNAMIC
Server: cdn
Set-Cookie: __bm=abc.def-1.0.1.1; path=/; expires=Tue, 04-Mar-25 10:41:12 GMT; HttpOnly; Secure
Set-Cookie: _id=1f; path=/; domain=.example.test; SameSite=None; Secure
Strict-Transport-Security: max-age=31536000; includeSubDomains; preload
Report-To: {\"endpoints\":[{\"url\":\"https:\\/\\/r.example.test\\/v4?s=%2B\"}],\"group\":\"nel\",\"max_age\":604800}
NEL: {\"success_fraction\":0,\"report_to\":\"nel\",\"max_age\":604800}
Content-Security-Policy: default-src 'self'; script-src 'self' 'nonce-r4nd0m' https:; img-src * data:
Permissions-Policy: camera=(), geolocation=(self \"https://example.test\")
Referrer-Policy: strict-origin-when-cross-origin
X-Content-Type-Options: nosniff
Server-Timing: cfL4;desc=\"?proto=TCP&rtt=1234\", edge;dur=1
alt-svc: h3=\":443\"; ma=86400, h3-29=\":443\"; ma=86400
",
        body: Chunked,
        lines: &[
            ("set-cookie", "__bm=abc.def-1.0.1.1; path=/; expires=Tue, 04-Mar-25 10:41:12 GMT; HttpOnly; Secure"),
            ("set-cookie", "_id=1f; path=/; domain=.example.test; SameSite=None; Secure"),
            ("alt-svc", "h3=\":443\"; ma=86400, h3-29=\":443\"; ma=86400"),
        ],
    },
    Server {
        name: "a CDN over Varnish",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Connection: keep-alive
Content-Length: 13
Content-Type: text/html
Via: 1.1 varnish, 1.1 varnish
Accept-Ranges: bytes
Age: 1234
X-Served-By: cache-iad-kiad7000000-IAD, cache-ams12700-AMS
X-Cache: HIT, MISS
X-Cache-Hits: 3, 0
Vary: Accept-Encoding,Cookie, Origin
",
        body: Sized,
        lines: &[("via", "1.1 varnish, 1.1 varnish"), ("vary", "Accept-Encoding,Cookie, Origin")],
    },
    Server {
        name: "an object store",
        status: 206,
        head: "\
HTTP/1.1 206 Partial Content
x-amz-id-2: q0w9e8r7t6y5+/abcdefghijklmnopqrstuvwxyz0123456789=
x-amz-request-id: 0123456789ABCDEF
Date: Tue, 04 Mar 2025 10:11:12 GMT
Last-Modified: Mon, 03 Mar 2025 09:00:00 GMT
ETag: \"0123456789abcdef0123456789abcdef-2\"
x-amz-meta-name: =?UTF-8?B?4piD?=
Accept-Ranges: bytes
Content-Range: bytes 0-12/1048576
Content-Type: binary/octet-stream
Server: ObjectStore
Content-Length: 13
",
        body: Sized,
        lines: &[("x-amz-meta-name", "=?UTF-8?B?4piD?="), ("content-range", "bytes 0-12/1048576")],
    },
    Server {
        name: "an object store, nothing there",
        status: 404,
        head: "\
HTTP/1.1 404 Not Found
x-amz-request-id: 0123456789ABCDEF
Content-Type: application/xml
Transfer-Encoding: chunked
Date: Tue, 04 Mar 2025 10:11:12 GMT
Server: ObjectStore
",
        body: Chunked,
        lines: &[("content-type", "application/xml")],
    },
    Server {
        name: "PHP with a session",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Server: nginx
Content-Type: text/html; charset=UTF-8
Transfer-Encoding: chunked
Connection: keep-alive
X-Powered-By: PHP/8.3.4
Set-Cookie: PHPSESSID=0123456789abcdefghijklmnop; path=/
Expires: Thu, 19 Nov 1981 08:52:00 GMT
Cache-Control: no-store, no-cache, must-revalidate
Pragma: no-cache
Link: <https://www.example.test/wp-json/>; rel=\"https://api.w.org/\"
",
        body: Chunked,
        lines: &[("expires", "Thu, 19 Nov 1981 08:52:00 GMT"), ("x-powered-by", "PHP/8.3.4")],
    },
    Server {
        name: "PHP's own server",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Host: 127.0.0.1:8000
Date: Tue, 04 Mar 2025 10:11:12 GMT
Connection: close
X-Powered-By: PHP/8.3.4
Content-type: text/html; charset=UTF-8
",
        body: Rest,
        lines: &[("host", "127.0.0.1:8000")],
    },
    Server {
        name: "Python's http.server",
        status: 200,
        head: "\
HTTP/1.0 200 OK
Server: SimpleHTTP/0.6 Python/3.12.3
Date: Tue, 04 Mar 2025 10:11:12 GMT
Content-type: text/html
Content-Length: 13
Last-Modified: Mon, 03 Mar 2025 09:00:00 GMT
",
        body: Sized,
        lines: &[("server", "SimpleHTTP/0.6 Python/3.12.3")],
    },
    Server {
        name: "WSGI without a length",
        status: 200,
        head: "\
HTTP/1.0 200 OK
Date: Tue, 04 Mar 2025 10:11:12 GMT
Server: WSGIServer/0.2 CPython/3.12.3
Content-Type: text/plain
",
        body: Rest,
        lines: &[("content-type", "text/plain")],
    },
    Server {
        name: "gunicorn",
        status: 201,
        head: "\
HTTP/1.1 201 Created
Server: gunicorn
Date: Tue, 04 Mar 2025 10:11:12 GMT
Connection: close
Content-Type: application/json
Allow: GET, POST, HEAD, OPTIONS
Content-Length: 13
",
        body: Sized,
        lines: &[("allow", "GET, POST, HEAD, OPTIONS")],
    },
    Server {
        name: "Tomcat",
        status: 500,
        head: "\
HTTP/1.1 500 \nContent-Type: text/html;charset=utf-8
Content-Language: en
Transfer-Encoding: chunked
Date: Tue, 04 Mar 2025 10:11:12 GMT
Connection: close
",
        body: Chunked,
        lines: &[("content-language", "en")],
    },
    Server {
        name: "Jetty",
        status: 200,
        head: "\
HTTP/1.1 200 OK
Date: Tue, 04 Mar 2025 10:11:12 GMT
Content-Type: text/plain;charset=iso-8859-1
Set-Cookie: JSESSIONID=node01abcdefghijk0.node0; Path=/; HttpOnly
Expires: Thu, 01 Jan 1970 00:00:00 GMT
Content-Length: 13
Server: Jetty(12.0.7)
",
        body: Sized,
        lines: &[("server", "Jetty(12.0.7)")],
    },
    Server {
        name: "HAProxy without a server",
        status: 503,
        head: "\
HTTP/1.0 503 Service Unavailable
Cache-Control: no-cache
Connection: close
Content-Type: text/html
",
        body: Rest,
        lines: &[("cache-control", "no-cache")],
    },
    Server {
        name: "an appliance, LF alone",
        status: 401,
        head: "\
HTTP/1.0 401 Unauthorized
Server: GoAhead-Webs
WWW-Authenticate: Basic realm=\"Camera\"
WWW-Authenticate: Digest realm=\"Camera\", qop=\"auth\", nonce=\"0123\", opaque=\"\"
Pragma: no-cache
Content-Type: text/html
",
        body: Rest,
        lines: &[
            ("www-authenticate", "Basic realm=\"Camera\""),
            ("www-authenticate", "Digest realm=\"Camera\", qop=\"auth\", nonce=\"0123\", opaque=\"\""),
        ],
    },
    Server {
        name: "a CGI program, LF alone",
        status: 200,
        head: "\
HTTP/1.1 200 OK
content-type:text/plain
x-program:  report.cgi
connection:close
",
        body: Rest,
        lines: &[("content-type", "text/plain"), ("x-program", "report.cgi")],
    },
    Server {
        name: "an old server, folded lines",
        status: 200,
        head: "\
HTTP/1.1 200 Document follows
MIME-Version: 1.0
Server: Old/1.0
Content-Type: multipart/mixed;
\tboundary=\"a b\"
X-Comment: first,
   second,
   third
Content-Length: 13
",
        body: Sized,
        lines: &[
            ("content-type", "multipart/mixed; boundary=\"a b\""),
            ("x-comment", "first, second, third"),
        ],
    },
    Server {
        name: "an API, no content",
        status: 204,
        head: "\
HTTP/1.1 204 No Content
access-control-allow-origin: *
access-control-allow-headers: Authorization,Content-Type
x-ratelimit-remaining: 4999
date: Tue, 04 Mar 2025 10:11:12 GMT
x-envoy-upstream-service-time: 3
server: istio-envoy
",
        body: Nothing,
        lines: &[("x-ratelimit-remaining", "4999")],
    },
    Server {
        name: "an API, too many requests",
        status: 429,
        head: "\
HTTP/1.1 429 Too Many Requests
retry-after: 3600
content-type: application/problem+json
content-length: 13
x-request-id: 01234567-89ab-cdef-0123-456789abcdef
",
        body: Sized,
        lines: &[("retry-after", "3600")],
    },
];

pub(crate) fn cases() -> Vec<Case> {
    SERVERS.iter().map(case).collect()
}

fn case(server: &Server) -> Case {
    let line_end = if server.name.contains("LF alone") {
        "\n"
    } else {
        "\r\n"
    };
    let head = server.head.replace('\n', line_end) + line_end;
    let chunks = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    let (sent, received) = match server.body {
        Sized | Rest => (BODY, BODY),
        Chunked => (&*chunks, BODY),
        Nothing => ("", ""),
    };
    let answer = cat(&[head.as_bytes(), sent.as_bytes()]);
    let mut case = ok(server.name, answer, received).status(server.status);
    for (name, value) in server.lines {
        case = case.line(name, *value);
    }
    match server.body {
        Rest => case,
        Sized | Chunked | Nothing => case.kept(),
    }
}
