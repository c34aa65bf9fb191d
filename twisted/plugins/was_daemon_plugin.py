from twisted.application.service import ServiceMaker

was = ServiceMaker("was_daemon", "was_daemon.daemon.service", "An asset server for Specify.", "was")
