#include <bit>
#include <cstring>
#include <type_traits>

#include "stepscore/check.h"
#include "stepscore/tree_search.h"
#include "tree_search/tickets.h"

namespace stepscore {
namespace {

constexpr About kFile{"path"};

constexpr char kMagic[8] = {'s', 't', 'e', 'p', 't', 'r', 'e', 'e'};
constexpr uint32_t kVersion = 2;

// Fields are written as they stand in memory.
constexpr uint32_t kByteOrder = 0x01020304;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t byte_order;
  uint64_t size;  // of what follows
  uint64_t checksum;
};

// FNV-1a over words of 8 bytes, the last one filled up with zeros.
uint64_t checksum_of(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 29;  // or the high bits of a word would reach nothing
  }
  return hash;
}

class Writer {
 public:
  template <class T>
  void value(const T& item) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&item), sizeof(T));
  }
  template <class T>
  void items(const std::vector<T>& all) {
    static_assert(std::is_trivially_copyable_v<T>);
    value(static_cast<uint64_t>(all.size()));
    bytes_.append(reinterpret_cast<const char*>(all.data()), all.size() * sizeof(T));
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  void value(T& item) {
    std::memcpy(&item, take(sizeof(T)), sizeof(T));
  }
  template <class T>
  void items(std::vector<T>& all) {
    uint64_t size = 0;
    value(size);
    check(size <= bytes_.size() / sizeof(T), "load", kFile, "the file is damaged");
    all.resize(size);
    if (size > 0) std::memcpy(all.data(), take(size * sizeof(T)), size * sizeof(T));
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  const char* take(size_t size) {
    check(size <= bytes_.size(), "load", kFile, "the file is damaged");
    const char* begin = bytes_.data();
    bytes_.remove_prefix(size);
    return begin;
  }

  std::string_view bytes_;
};

// The same list for both directions. Queues are not in it: they follow from the tickets.
template <class Archive, class Search>
void all_fields(Archive& archive, Search& search) {
  archive.value(search.problems);
  archive.value(search.max_nodes);
  archive.value(search.seed);
  archive.value(search.deterministic);
  archive.value(search.merge_duplicates);
  archive.value(search.has_rewards);
  archive.value(search.selection);
  for_each_field(search.nodes, [&](const char*, auto& field, auto) { archive.items(field); });
  archive.items(search.problem);
  archive.items(search.payload);
  archive.items(search.tickets);
}

}  // namespace

std::string snapshot(const TreeSearch& search) {
  Writer writer;
  writer.value(Header{});
  all_fields(writer, search);
  for (const auto& leaves : search.leaves) writer.items(leaves);
  std::string& bytes = writer.bytes();
  const std::string_view body = std::string_view(bytes).substr(sizeof(Header));
  Header header{{}, kVersion, kByteOrder, body.size(), checksum_of(body)};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  std::memcpy(bytes.data(), &header, sizeof(Header));
  return std::move(bytes);
}

TreeSearch restore(std::string_view bytes) {
  Header header{};
  const bool has_header = bytes.size() >= sizeof(Header);
  if (has_header) std::memcpy(&header, bytes.data(), sizeof(Header));
  check(has_header && std::memcmp(header.magic, kMagic, sizeof(kMagic)) == 0, "load", kFile,
        "this is no file of TreeSearch.save");
  check(header.version == kVersion, "load", kFile, "the file has version ", header.version,
        "; this stepscore reads version ", kVersion);
  check(header.byte_order == kByteOrder, "load", kFile,
        "the file is of a machine with another byte order");
  const std::string_view body = bytes.substr(sizeof(Header));
  check(body.size() == header.size, "load", kFile, "the file is truncated; it should have ",
        header.size + sizeof(Header), " bytes and has ", bytes.size());
  check(checksum_of(body) == header.checksum, "load", kFile, "the file is damaged (checksum)");
  Reader reader(body);
  TreeSearch search{};
  all_fields(reader, search);
  search.leaves.resize(search.problem.size());
  for (auto& leaves : search.leaves) reader.items(leaves);
  check(reader.at_end(), "load", kFile, "the file is damaged");
  search.queues.resize(kRequestKinds);
  for (RequestQueue& queue : search.queues) {
    queue.head.assign(search.problem.size(), kNoTicket);
    queue.tail.assign(search.problem.size(), kNoTicket);
    queue.size.assign(search.problem.size(), 0);
  }
  for (int32_t t = 0; t < static_cast<int32_t>(search.tickets.size()); ++t) {
    const TicketState state = search.tickets[t].state;
    if (state == TicketState::kQueued || state == TicketState::kAsked) enqueue(search, t);
  }
  return search;
}

}  // namespace stepscore
