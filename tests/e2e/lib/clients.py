"""Programs that ask for one URL and say what they got: a line with the status, then the body.

    program METHOD URL [FILE]     the FILE, if any, is the request's body, of type application/json

The environment is all that tells them of the proxy. Each is as its documentation shows it; nothing is made easier for
exeat. `available(folder)` compiles what must be compiled, once, and leaves out what is not installed here.
"""

import os
import pathlib
import subprocess
import sys

from . import paths

URLLIB = """
import sys, urllib.request, urllib.error
method, url, body = (*sys.argv[1:], None)[:3]
data = open(body, 'rb').read() if body else None
request = urllib.request.Request(url, data=data, method=method, headers={'Content-Type': 'application/json'} if body else {})
try:
    r = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as e:
    r = e
print(r.status)
sys.stdout.write(r.read().decode())
"""
REQUESTS = """
import sys, requests
method, url, body = (*sys.argv[1:], None)[:3]
r = requests.request(method, url, timeout=20, data=open(body, 'rb') if body else None,
                     headers={'Content-Type': 'application/json'} if body else None)
print(r.status_code)
sys.stdout.write(r.text)
"""
HTTPX = """
import sys, httpx
method, url, body = (*sys.argv[1:], None)[:3]
r = httpx.request(method, url, timeout=20, content=open(body, 'rb').read() if body else None,
                  headers={'Content-Type': 'application/json'} if body else None)
print(r.status_code)
sys.stdout.write(r.text)
"""
AIOHTTP = """
import asyncio, ssl, sys, aiohttp
method, url, body = (*sys.argv[1:], None)[:3]

async def ask():
    async with aiohttp.ClientSession(trust_env=True) as session:
        data = open(body, 'rb') if body else None
        async with session.request(method, url, data=data, headers={'Content-Type': 'application/json'} if body else None) as r:
            print(r.status)
            sys.stdout.write(await r.text())

asyncio.run(ask())
"""
NODE_TUNNEL = """
const http = require('http'), https = require('https'), tls = require('tls'), fs = require('fs');
const [method, url, file] = process.argv.slice(1), target = new URL(url), proxy = new URL(process.env.https_proxy);
const auth = 'Basic ' + Buffer.from(decodeURIComponent(proxy.username + ':' + proxy.password)).toString('base64');
const finish = r => { let b = ''; r.on('data', d => b += d); r.on('end', () => process.stdout.write(r.statusCode + '\\n' + b)); };
const body = file ? fs.readFileSync(file) : '';
const headers = {Host: target.host, ...(file ? {'Content-Type': 'application/json', 'Content-Length': body.length} : {})};
http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: target.hostname + ':443',
              headers: {Host: target.hostname + ':443', 'Proxy-Authorization': auth}})
    .on('connect', (r, socket) => https.request(url, {method, headers,
        createConnection: () => tls.connect({socket, servername: target.hostname})}, finish).end(body)).end();
"""
NODE_AGENT = """
const https = require('https'), fs = require('fs'), agent = require('https-proxy-agent');
const [method, url, file] = process.argv.slice(1);
const body = file ? fs.readFileSync(file) : '';
const headers = file ? {'Content-Type': 'application/json', 'Content-Length': body.length} : {};
https.request(url, {method, headers, agent: new (agent.HttpsProxyAgent || agent)(process.env.https_proxy)}, r => {
    let b = ''; r.on('data', d => b += d); r.on('end', () => process.stdout.write(r.statusCode + '\\n' + b));
}).end(body);
"""
NODE_FETCH = """
const {fetch, ProxyAgent} = require('undici'), fs = require('fs');
const [method, url, file] = process.argv.slice(1), proxy = new URL(process.env.https_proxy);
const token = 'Basic ' + Buffer.from(decodeURIComponent(proxy.username + ':' + proxy.password)).toString('base64');
fetch(url, {method, body: file ? fs.readFileSync(file) : undefined, headers: file ? {'Content-Type': 'application/json'} : {},
            dispatcher: new ProxyAgent({uri: proxy.origin, token})})
    .then(async r => process.stdout.write(r.status + '\\n' + await r.text()));
"""
GO = """
package main

import (
    "bytes"
    "fmt"
    "io"
    "net/http"
    "os"
)

func main() {
    var body io.Reader
    if len(os.Args) > 3 {
        text, _ := os.ReadFile(os.Args[3])
        body = bytes.NewReader(text)
    }
    request, err := http.NewRequest(os.Args[1], os.Args[2], body)
    if err == nil {
        if body != nil {
            request.Header.Set("Content-Type", "application/json")
        }
        var r *http.Response
        if r, err = http.DefaultClient.Do(request); err == nil {
            text, _ := io.ReadAll(r.Body)
            fmt.Printf("%d\\n%s", r.StatusCode, text)
            return
        }
    }
    fmt.Fprintln(os.Stderr, err)
    os.Exit(1)
}
"""
JAVA = """
import java.io.*;
import java.net.*;
import java.nio.file.*;

public class Ask {
    public static void main(String[] a) throws Exception {
        HttpURLConnection c = (HttpURLConnection) new URL(a[1]).openConnection();
        c.setRequestMethod(a[0]);
        if (a.length > 2) {
            c.setDoOutput(true);
            c.setRequestProperty("Content-Type", "application/json");
            Files.copy(Path.of(a[2]), c.getOutputStream());
        }
        int status = c.getResponseCode();
        InputStream in = status < 400 ? c.getInputStream() : c.getErrorStream();
        System.out.print(status + "\\n" + (in == null ? "" : new String(in.readAllBytes())));
    }
}
"""
CURL = """
[ $# -lt 3 ] || set -- "$1" "$2" --data-binary "@$3" -H 'Content-Type: application/json'
method=$1 url=$2; shift 2
out=$(curl -sS -w '%{stderr}%{http_code}' -X "$method" "$@" "$url" 2>&1 >"$EXEAT_TEST_BODY") || { echo "$out" >&2; exit 1; }
echo "$out"; cat "$EXEAT_TEST_BODY"
"""
NODE_MODULES = pathlib.Path("/usr/share/nodejs")  # where Debian puts them

# Those that answer a proxy's demand for credentials, so that a token can tell their task.
WITH_TOKEN = ["curl", "urllib", "requests", "httpx", "aiohttp", "node", "node-agent", "node-fetch", "go"]


def _has_module(name):
    return subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True).returncode == 0


def _node(script, module=None):
    if not paths.program("node") or (module and not (NODE_MODULES / module).exists()):
        return None
    return ["node", "-e", script]


def _go(folder):
    if not paths.program("go"):
        return None
    (folder / "ask.go").write_text(GO)
    subprocess.run(["go", "build", "-o", "ask-go", "ask.go"], cwd=folder, check=True, timeout=300,
                   env={**os.environ, "GOCACHE": str(folder / "go-cache"), "GOFLAGS": "", "GO111MODULE": "off"})
    return [str(folder / "ask-go")]


def java(folder):
    """HttpURLConnection; None where there is no compiler."""
    if not paths.program("javac"):
        return None
    (folder / "Ask.java").write_text(JAVA)
    subprocess.run(["javac", "Ask.java"], cwd=folder, check=True, timeout=300)
    return ["java", "-cp", str(folder), "Ask"]


def _python(script, module=None):
    return [sys.executable, "-c", script] if not module or _has_module(module) else None


_makers = {
    "curl": lambda folder: ["sh", "-c", CURL, "sh"],
    "urllib": lambda folder: _python(URLLIB),
    "requests": lambda folder: _python(REQUESTS, "requests"),
    "httpx": lambda folder: _python(HTTPX, "httpx"),
    "aiohttp": lambda folder: _python(AIOHTTP, "aiohttp"),
    "node": lambda folder: _node(NODE_TUNNEL),
    "node-agent": lambda folder: _node(NODE_AGENT, "https-proxy-agent"),
    "node-fetch": lambda folder: _node(NODE_FETCH, "undici"),
    "go": _go,
}


class Clients:
    def __init__(self, folder):
        self.folder = folder
        self.commands = {}

    def command(self, name):
        """None where it is not installed."""
        if name not in self.commands:
            self.commands[name] = _makers[name](self.folder)
        return self.commands[name]

    def run(self, name, env, *arguments):
        """(status, body)"""
        more = {"EXEAT_TEST_BODY": str(self.folder / "body"), "NODE_PATH": str(NODE_MODULES)}
        done = subprocess.run([*self.command(name), *map(str, arguments)], env={**env, **more}, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        status, _, body = done.stdout.partition("\n")
        return int(status), body
