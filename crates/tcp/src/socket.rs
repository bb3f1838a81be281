//! Makes sockets and sets their options.

use std::{io, net::SocketAddr};

use bowline_transport::TransportError;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::TcpOptions;

/// Connects to `remote`, from `local` where one is given. Dropping the future closes the socket.
pub(crate) async fn connect(
    options: &TcpOptions,
    remote: SocketAddr,
    local: Option<SocketAddr>,
) -> Result<TcpStream, TransportError> {
    let socket = new_socket(remote)?;
    if let Some(local) = local {
        share_port(&socket)?;
        socket.bind(&local.into())?;
    }
    configure(&SockRef::from(&socket), options)?;
    Ok(TcpSocket::from_std_stream(socket.into()).connect(remote).await?)
}

/// Listens on `addr`. Must be called on a tokio runtime.
pub(crate) fn listen(options: &TcpOptions, addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(addr)?;
    // A restarted node gets its port back although old connections linger on it. On Windows the
    // option would let two programs listen on one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if options.port_reuse {
        share_port(&socket)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Sets the options of a connection.
pub(crate) fn configure(socket: &SockRef<'_>, options: &TcpOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay)?;
    if let Some(idle) = options.keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle))?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(bytes) = options.notsent_lowat {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    Ok(())
}

fn new_socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lets several sockets of this process bind one port, where the system can.
fn share_port(socket: &Socket) -> io::Result<()> {
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(true)?;
    #[cfg(not(unix))]
    let _ = socket;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_options_reach_the_socket() {
        let options = TcpOptions::default();
        let listener = listen(&options, "127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = connect(&options, listener.local_addr().unwrap(), None).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 16 * 1024);
        }
        assert!(SockRef::from(&listener).reuse_address().unwrap());
    }

    #[tokio::test]
    async fn options_that_are_off_stay_off() {
        let options =
            TcpOptions { nodelay: false, keepalive: None, notsent_lowat: None, ..Default::default() };
        let listener = listen(&options, "127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = connect(&options, listener.local_addr().unwrap(), None).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(!socket.keepalive().unwrap());
        assert!(!SockRef::from(&listener).reuse_port().unwrap());
    }
}
