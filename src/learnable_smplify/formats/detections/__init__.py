"""What one camera saw, of several people: one file a format, `detection_file.read_detections` is the door."""
