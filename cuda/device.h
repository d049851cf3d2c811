// The current device, and one integer of its memory.
#pragma once

#include <cstdint>

#include "launchers.h"

namespace stepscore::cuda {

// Makes a device current, and the one before it again at the end.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  Status status() const { return status_; }

 private:
  int previous_ = -1;  // -1: nothing to restore
  Status status_;
};

// An int64 on the device that holds INT64_MAX until a kernel reports a fault.
class FaultCell {
 public:
  FaultCell() = default;
  ~FaultCell();
  FaultCell(const FaultCell&) = delete;
  FaultCell& operator=(const FaultCell&) = delete;
  Status open(Stream stream);                  // refuses a stream that is being captured
  Status read(Stream stream, int64_t* value);  // waits for the stream
  int64_t* get() const { return cell_; }

 private:
  int64_t* cell_ = nullptr;
};

// Makes what is enqueued on `follower` from now on wait for what stands on `leader`.
Status follow(int device, Stream leader, Stream follower);

// Memory for a result, ordered on the stream, which must outlive it. Refuses a stream that is being
// captured: what a graph allocates is gone after its launch.
Status allocate(int device, int64_t bytes, Stream stream, void** memory);

// Elsewhere: streams that we do not know may still read it, so this waits for the device.
void release(int device, void* memory, Stream stream, bool elsewhere);

}  // namespace stepscore::cuda
