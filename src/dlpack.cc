#include "dlpack.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "device.h"
#include "enqueue.h"

namespace stepscore {
namespace {

// The layout that the DLPack specification fixes, for capsules without a version and of version 1.
struct DlDevice {
  int32_t type;
  int32_t id;
};
struct DlDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  int32_t rank;
  DlDataType dtype;
  int64_t* shape;
  int64_t* strides;  // null: contiguous
  uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* manager;
  void (*deleter)(DlManagedTensor*);
};

struct DlVersionedTensor {
  struct {
    uint32_t major;
    uint32_t minor;
  } version;
  void* manager;
  void (*deleter)(DlVersionedTensor*);
  uint64_t flags;
  DlTensor tensor;
};

constexpr int32_t kDlCuda = 2;
constexpr uint32_t kDlMajor = 1;
constexpr uint64_t kDlReadOnly = 1;
constexpr uint8_t kDlInt = 0, kDlFloat = 2, kDlBFloat = 4, kDlBool = 6;

// The names of a capsule before and after somebody takes what it holds.
template <class Managed>
struct CapsuleNames;
template <>
struct CapsuleNames<DlManagedTensor> {
  static constexpr const char *kFresh = "dltensor", *kTaken = "used_dltensor";
};
template <>
struct CapsuleNames<DlVersionedTensor> {
  static constexpr const char *kFresh = "dltensor_versioned", *kTaken = "used_dltensor_versioned";
};

struct DTypeCode {
  DType dtype;
  uint8_t code;
  uint8_t bits;
};
constexpr DTypeCode kCodes[] = {
    {DType::kFloat32, kDlFloat, 32},   {DType::kFloat16, kDlFloat, 16},
    {DType::kBFloat16, kDlBFloat, 16}, {DType::kFloat64, kDlFloat, 64},
    {DType::kInt32, kDlInt, 32},       {DType::kInt64, kDlInt, 64},
    {DType::kBool, kDlBool, 8},
};

// An array of another library, until it is given back.
class Borrowed {
 public:
  explicit Borrowed(const py::capsule& capsule) {
    if (const auto* versioned = take<DlVersionedTensor>(capsule)) {
      if (versioned->version.major != kDlMajor) {  // whose layout nobody knows yet
        throw py::type_error(message("DLPack version ", versioned->version.major, "; ", kDlMajor,
                                     " is the newest that can be read"));
      }
      read_only_ = (versioned->flags & kDlReadOnly) != 0;
      tensor_ = &versioned->tensor;
    } else if (const auto* managed = take<DlManagedTensor>(capsule)) {
      tensor_ = &managed->tensor;
    } else {
      throw py::type_error("expected a DLPack capsule that nobody has taken yet");
    }
    const DlTensor& tensor = *tensor_;
    check_rank("Borrowed", "capsule", tensor.rank);
    view_.dtype = dtype_of(tensor.dtype);
    view_.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
    view_.rank = tensor.rank;
    int64_t stride = 1;
    for (int d = view_.rank - 1; d >= 0; --d) {
      view_.shape[d] = tensor.shape[d];
      view_.stride[d] = tensor.strides == nullptr ? stride : tensor.strides[d];
      stride *= std::max<int64_t>(tensor.shape[d], 1);
    }
  }

  const TensorView& view() const { return view_; }
  int device() const { return tensor_->device.type == kDlCuda ? tensor_->device.id : -1; }
  bool read_only() const { return read_only_; }

 private:
  // What the capsule holds, ours to give back from now on; null if it holds something else.
  template <class Managed>
  const Managed* take(const py::capsule& capsule) {
    using Names = CapsuleNames<Managed>;
    if (!PyCapsule_IsValid(capsule.ptr(), Names::kFresh)) return nullptr;
    auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Names::kFresh));
    lender_ = {managed, [](void* taken) {
                 auto* given_back = static_cast<Managed*>(taken);
                 if (given_back->deleter != nullptr) given_back->deleter(given_back);
               }};
    PyCapsule_SetName(capsule.ptr(), Names::kTaken);
    return managed;
  }

  static DType dtype_of(const DlDataType& type) {
    for (const DTypeCode& known : kCodes) {
      if (type.lanes == 1 && type.code == known.code && type.bits == known.bits) {
        return known.dtype;
      }
    }
    throw py::type_error(message("unsupported DLPack type: code ", static_cast<int>(type.code),
                                 ", ", static_cast<int>(type.bits), " bits"));
  }

  std::unique_ptr<void, void (*)(void*)> lender_{nullptr, nullptr};
  const DlTensor* tensor_ = nullptr;
  bool read_only_ = false;
  TensorView view_;
};

// Device memory of our own; freed on the stream it was made on, whose owner it keeps alive.
struct Memory {
  void* data = nullptr;
  Queue queue;
  py::object stream;
  std::atomic<bool> elsewhere{false};  // lent to another stream

  Memory(int64_t bytes, const Queue& where, py::object owner)
      : queue(where), stream(std::move(owner)) {
    cuda::raise_failure(
        "allocate",
        cuda::allocate(where.device, bytes, reinterpret_cast<cuda::Stream>(where.stream), &data));
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  // On whatever thread a consumer drops the last of it, with the GIL or without.
  ~Memory() {
    if (!Py_IsInitialized()) {  // at the end of the process: the object is nobody's any more
      stream.release();
      free();
      return;
    }
    py::gil_scoped_acquire locked;
    {
      py::gil_scoped_release unlocked;  // this may wait for work that wants the GIL itself
      free();
    }
    stream = py::object();
  }

 private:
  void free() {
    cuda::release(queue.device, data, reinterpret_cast<cuda::Stream>(queue.stream), elsewhere);
  }
};

class Owned {
 public:
  Owned(const std::vector<int64_t>& shape, const std::string& dtype, const Queue& queue,
        const py::object& stream)
      : shape_(shape) {
    check_rank("Owned", "shape", static_cast<int64_t>(shape.size()));
    view_.rank = static_cast<int>(shape.size());
    int64_t items = 1;
    for (int d = view_.rank - 1; d >= 0; --d) {
      view_.shape[d] = shape[static_cast<size_t>(d)];
      view_.stride[d] = items;
      items *= view_.shape[d];
    }
    const DTypeCode* found = std::find_if(std::begin(kCodes), std::end(kCodes), [&](auto& known) {
      return dtype == name_of(known.dtype);
    });
    if (found == std::end(kCodes)) throw py::type_error(message("unsupported dtype ", dtype));
    code_ = *found;
    view_.dtype = code_.dtype;
    memory_ = std::make_shared<Memory>(items * item_size(code_.dtype), queue, stream);
    view_.data = memory_->data;
  }

  const TensorView& view() const { return view_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  std::string dtype() const { return name_of(view_.dtype); }
  int device() const { return memory_->queue.device; }

  // What `consumer` (a DLPack stream; none: nothing waits) does from now on finds the result ready.
  py::capsule dlpack(std::optional<uintptr_t> consumer) const {
    const uintptr_t producer = named(memory_->queue.stream);
    const uintptr_t follower = named(consumer.value_or(producer));
    if (!consumer.has_value() || follower != producer) memory_->elsewhere = true;
    cuda::raise_failure("__dlpack__",
                        cuda::follow(device(), reinterpret_cast<cuda::Stream>(producer),
                                     reinterpret_cast<cuda::Stream>(follower)));
    struct Lent {
      DlManagedTensor managed;
      std::shared_ptr<Memory> memory;
      std::vector<int64_t> shape;
    };
    auto lent = std::make_unique<Lent>();
    lent->memory = memory_;
    lent->shape = shape_;
    lent->managed.tensor = {view_.data,
                            {kDlCuda, device()},
                            view_.rank,
                            {code_.code, code_.bits, 1},
                            lent->shape.data(),
                            nullptr,
                            0};
    lent->managed.manager = lent.get();
    lent->managed.deleter = [](DlManagedTensor* managed) {
      delete static_cast<Lent*>(managed->manager);
    };
    using Names = CapsuleNames<DlManagedTensor>;
    py::capsule capsule(&lent->managed, Names::kFresh, [](PyObject* object) {
      if (!PyCapsule_IsValid(object, Names::kFresh)) return;  // somebody took it
      auto* managed = static_cast<DlManagedTensor*>(PyCapsule_GetPointer(object, Names::kFresh));
      managed->deleter(managed);
    });
    lent.release();
    return capsule;
  }

 private:
  // The default stream has two handles; DLPack knows it by the second.
  static uintptr_t named(uintptr_t stream) { return stream == 0 ? 1 : stream; }

  std::vector<int64_t> shape_;
  TensorView view_;
  DTypeCode code_{};
  std::shared_ptr<Memory> memory_;
};

}  // namespace

void bind_dlpack(py::module_& module) {
  py::class_<Borrowed>(module, "Borrowed")
      .def(py::init<const py::capsule&>(), py::arg("capsule"))
      .def_property_readonly("view", &Borrowed::view, py::return_value_policy::reference_internal)
      .def_property_readonly("device", &Borrowed::device)
      .def_property_readonly("read_only", &Borrowed::read_only);
  py::class_<Owned>(module, "Owned")
      .def(py::init<const std::vector<int64_t>&, const std::string&, const Queue&,
                    const py::object&>(),
           py::arg("shape"), py::arg("dtype"), py::arg("queue"), py::arg("stream") = py::none())
      .def_property_readonly("view", &Owned::view, py::return_value_policy::reference_internal)
      .def_property_readonly("shape", &Owned::shape)
      .def_property_readonly("dtype", &Owned::dtype)
      .def_property_readonly("device", &Owned::device)
      .def("dlpack", &Owned::dlpack, py::arg("stream").none(true));
}

}  // namespace stepscore
